"""A registry on loopback from which `ollama pull --insecure 127.0.0.1:PORT/library/NAME:TAG` pulls for real."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

CHATML = """{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
"""
LICENCE = "The licence text that the publisher ships with the model."
_CHUNK = 1 << 20


@dataclass(slots=True)
class Registry:
    """Manifests and blobs over HTTP; use as a context."""

    manifests: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes | Path] = field(default_factory=dict)
    pulled: list[str] = field(default_factory=list)
    """The manifests that were asked for, as name:tag."""
    _server: _Server | None = None

    def add(self, tag: str, weights: Path, *, system: str | None = None) -> str:
        """Serve a GGUF file with a chat template and a licence as `tag`; returns the full name under which it can be pulled."""
        parts: list[tuple[str, bytes | Path]] = [
            ("model", weights),
            ("template", CHATML.encode()),
            ("license", LICENCE.encode()),
            ("params", b'{"stop":["<|im_start|>","<|im_end|>"],"num_predict":48}'),  # small models do not always find an end
        ]
        if system is not None:
            parts.append(("system", system.encode()))
        layers = [self._blob(f"application/vnd.ollama.image.{kind}", content) for kind, content in parts]
        about = {
            "model_format": "gguf",
            "model_family": "llama",
            "model_families": ["llama"],
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
        }
        config = self._blob("application/vnd.docker.container.image.v1+json", json.dumps(about).encode())
        kind = "application/vnd.docker.distribution.manifest.v2+json"
        self.manifests[tag] = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers}).encode()
        return self.full_name(tag)

    def full_name(self, tag: str) -> str:
        """A model's name with this registry's address."""
        return f"127.0.0.1:{self.port}/library/{tag}"

    def _blob(self, kind: str, content: bytes | Path) -> dict[str, Any]:
        if isinstance(content, Path):
            with content.open("rb") as file:
                digest, size = hashlib.file_digest(file, "sha256").hexdigest(), content.stat().st_size
        else:
            digest, size = hashlib.sha256(content).hexdigest(), len(content)
        self.blobs[f"sha256:{digest}"] = content
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": size}

    @property
    def port(self) -> int:
        """The port that it listens on."""
        assert self._server is not None
        return self._server.server_address[1]

    def __enter__(self) -> Self:
        registry = self

        class Handler(_Handler):
            shelf = registry

        self._server = _Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, name="registry", daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Keep quiet about clients that leave, which Ollama does in the middle of parts that it asks for again."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    shelf: Registry
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._reply(head=True)

    def do_GET(self) -> None:
        self._reply(head=False)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Say nothing."""

    def _reply(self, *, head: bool) -> None:
        wanted = re.fullmatch(r"/v2/library/([^/]+)/(manifests|blobs)/([^/]+)|/(data)/([^/]+)", self.path)
        if wanted is None:
            return self._send(404, b"{}", head=head)
        name, kind, reference = wanted[1], wanted[2] or wanted[4], wanted[3] or wanted[5]
        if kind == "manifests":
            self.shelf.pulled.append(f"{name}:{reference}")
            manifest = self.shelf.manifests.get(f"{name}:{reference}")
            return self._send(200 if manifest else 404, manifest or b"{}", head=head)
        if reference not in self.shelf.blobs:
            return self._send(404, b"{}", head=head)
        if kind == "blobs" and not head:  # data comes from another host; Ollama fails where it does not
            return self._send(307, b"", head=False, Location=f"http://localhost:{self.shelf.port}/data/{reference}")
        return self._content(self.shelf.blobs[reference], head=head)

    def _content(self, content: bytes | Path, *, head: bool) -> None:
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first, last = (int(asked[1]), min(int(asked[2] or size - 1), size - 1)) if asked else (0, size - 1)
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Accept-Ranges", "bytes")
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.end_headers()
        if head:
            return
        if isinstance(content, bytes):
            self.wfile.write(content[first : last + 1])
            return
        with content.open("rb") as file:
            file.seek(first)
            left = last - first + 1
            while left and (piece := file.read(min(_CHUNK, left))):
                self.wfile.write(piece)
                left -= len(piece)

    def _send(self, status: int, body: bytes, *, head: bool, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not head:
            self.wfile.write(body)
