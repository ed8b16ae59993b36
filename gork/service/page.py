"""The page for browsers: the files in `web`, with what a browser needs to keep them and to distrust everything else."""

from __future__ import annotations

import functools
import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from gork.errors import NotFound
from gork.service.service import Service

PREFIX = "/page/"
"""The path of the page's scripts and styles. They hold no secrets and need no token, like the page itself."""
WEB = Path(__file__).parent / "web"
TYPES: Mapping[str, str] = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
"""What is served; anything else in the folder (licences, checksums) is not."""
INDEX = "index.html"
VERSION_MARK = b"%VERSION%"
VENDOR = "vendor/"
MODULES: Mapping[str, bytes] = {"vendor/temml/temml.min.js": b"\nexport default temml;\n"}
"""Vendored scripts that are no modules, with the line that makes each one: the policy allows no other way to load a script later."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types dompurify"
)
"""Only the page's own files are run or fetched, and no string becomes markup except through the sanitiser."""
# A browser that looks up the hosts of links before anyone follows them would let a model find out where it is.
_HEADERS: Mapping[str, str] = {"Content-Security-Policy": POLICY, "X-DNS-Prefetch-Control": "off"}
_TAKES_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))")


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is served."""

    body: bytes
    compressed: bytes
    content_type: str
    tag: str


@dataclass(frozen=True, slots=True)
class Assets:
    """All files of the page by their names; `version` changes whenever one of them does."""

    files: Mapping[str, Asset]
    version: str

    @classmethod
    def read(cls, folder: Path = WEB) -> Assets:
        """Read a folder."""
        bodies = {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.suffix in TYPES}
        version = hashlib.sha256(b"".join(b"%s %d\n%s" % (name.encode(), len(body), body) for name, body in bodies.items())).hexdigest()[
            :12
        ]
        for name, line in MODULES.items():
            if name in bodies:
                bodies[name] += line
        bodies[INDEX] = bodies[INDEX].replace(VERSION_MARK, version.encode())
        files = {
            name: Asset(body, gzip.compress(body, mtime=0), TYPES[Path(name).suffix], hashlib.sha256(body).hexdigest()[:20])
            for name, body in bodies.items()
        }
        return cls(files, version)


assets = functools.cache(Assets.read)
"""The page's files, read and compressed once in the life of the program."""


def routes(_service: Service) -> list[web.RouteDef]:
    """The page's scripts and styles; the page itself is at `/` (see `index`)."""
    assets()  # a file that cannot be read is an error at the start
    return [web.get(PREFIX + "{version}/{name:.+}", file)]


async def index(request: web.Request) -> web.Response:
    """The page, for browsers that ask for `/`."""
    # Other programs get another reply at the same address, so a cache must look at what was asked for.
    return _reply(request, assets().files[INDEX], {"Cache-Control": "no-cache", "Vary": "Accept, Accept-Encoding"})


async def file(request: web.Request) -> web.Response:
    """One of the page's files. Its address has the version of all of them, so a browser may keep it for ever."""
    name, version = request.match_info["name"], request.match_info["version"]
    asset = None if name == INDEX else assets().files.get(name)
    if asset is None:
        raise NotFound("the page has no such file")
    kept = "public, max-age=31536000, immutable" if version == assets().version else "no-cache"
    return _reply(request, asset, {"Cache-Control": kept, "Vary": "Accept-Encoding"})


def _reply(request: web.Request, asset: Asset, headers: Mapping[str, str]) -> web.Response:
    compress = _TAKES_GZIP.search(request.headers.get("Accept-Encoding", "").lower()) is not None
    tag = f"{asset.tag}-gz" if compress else asset.tag
    headers = {**_HEADERS, **headers, "ETag": f'"{tag}"'}
    if any(known.value in {tag, "*"} for known in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    if compress:
        headers["Content-Encoding"] = "gzip"
    body = asset.compressed if compress else asset.body
    return web.Response(body=body, content_type=asset.content_type, charset="utf-8", headers=headers)
