"""The page for browsers: the files in `web`, held in memory, with what a browser needs to keep them and to distrust everything else."""

from __future__ import annotations

import functools
import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from gork.service.errors import NotFound
from gork.service.service import Service

PREFIX = "/page/"
"""Below it are the page's scripts and styles. They hold no secrets and are open to everybody, as the page itself is."""
WEB = Path(__file__).parent / "web"
TYPES: Mapping[str, str] = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
"""What is served; anything else in the folder (licences, checksums) is not."""
INDEX = "index.html"
VERSION_MARK = b"%VERSION%"
YEAR_S = 31_536_000
VENDOR = "vendor/"
_FOR_PEOPLE = re.compile(rb"^[ \t]*(?://[^\n]*\n|/\*(?:[^*]|\*(?!/))*\*/[ \t]*\n|\n)|^[ \t]+", re.MULTILINE)
"""What is for those who read our files and not for browsers: comments with lines of their own, and how far lines are indented."""
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types dompurify",
    )
)
"""Nothing but our own files runs or is fetched, and no string becomes markup but through the sanitiser."""
_PAGE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Else a browser looks up the hosts of links before anybody follows them: a model could make it tell where it is.
    "X-DNS-Prefetch-Control": "off",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is served."""

    body: bytes
    squeezed: bytes
    content_type: str
    tag: str

    @classmethod
    def of(cls, name: str, body: bytes) -> Asset:
        """The asset of a file's name and content."""
        return cls(body, gzip.compress(body, mtime=0), TYPES[Path(name).suffix], hashlib.sha256(body).hexdigest()[:20])


@dataclass(frozen=True, slots=True)
class Assets:
    """All files of the page by their names; `version` changes whenever one of them does."""

    files: Mapping[str, Asset]
    version: str

    @classmethod
    def read(cls, folder: Path = WEB) -> Assets:
        """Read a folder."""
        found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.suffix in TYPES}
        bodies = {name: body if name.startswith(VENDOR) else _FOR_PEOPLE.sub(b"", body) for name, body in found.items()}
        digest = hashlib.sha256()
        for name, body in bodies.items():
            digest.update(b"%s %d\n" % (name.encode(), len(body)) + body)
        version = digest.hexdigest()[:12]
        bodies[INDEX] = bodies[INDEX].replace(VERSION_MARK, version.encode())
        return cls({name: Asset.of(name, body) for name, body in bodies.items()}, version)


@functools.cache
def assets() -> Assets:
    """The page's files, read once in the life of the program."""
    return Assets.read()


def routes(service: Service) -> list[web.RouteDef]:
    """The page's scripts and styles; the page itself is at `/` (see `index`)."""
    del service  # it answers the page's requests, but the files are the same for every service
    assets()  # a file that cannot be read is told at the start
    return [web.get(PREFIX + "{version}/{name:.+}", file)]


async def index(request: web.Request) -> web.Response:
    """The page, for whoever asks `/` for HTML."""
    # Other programs get another reply at the same address, so a cache must look at what was asked for.
    return _reply(request, assets().files[INDEX], {"Cache-Control": "no-cache", "Vary": "Accept, Accept-Encoding"})


async def file(request: web.Request) -> web.Response:
    """One of the page's files. Its address has the version of all of them, so a browser may keep it for ever."""
    name, version = request.match_info["name"], request.match_info["version"]
    asset = None if name == INDEX else assets().files.get(name)
    if asset is None:
        raise NotFound("the page has no such file")
    kept = f"public, max-age={YEAR_S}, immutable" if version == assets().version else "no-cache"
    return _reply(request, asset, {"Cache-Control": kept, "Vary": "Accept-Encoding"})


def _reply(request: web.Request, asset: Asset, headers: Mapping[str, str]) -> web.Response:
    squeeze = _takes_gzip(request) and len(asset.squeezed) < len(asset.body)
    tag = f"{asset.tag}-gz" if squeeze else asset.tag
    more = {**_PAGE_HEADERS, **headers, "ETag": f'"{tag}"'}
    if any(known.value in {tag, "*"} for known in request.if_none_match or ()):
        return web.Response(status=304, headers=more)
    if squeeze:
        more["Content-Encoding"] = "gzip"
    body = asset.squeezed if squeeze else asset.body
    return web.Response(body=body, content_type=asset.content_type, charset="utf-8", headers=more)


def _takes_gzip(request: web.Request) -> bool:
    """Whether gzip is among the encodings that the client accepts, and not with a weight of nothing."""
    for part in request.headers.get("Accept-Encoding", "").lower().split(","):
        name, _, parameters = part.partition(";")
        if name.strip() in {"gzip", "*"}:
            weight = parameters.replace(" ", "").removeprefix("q=")
            return weight not in {"0", "0.0", "0.00", "0.000"}
    return False
