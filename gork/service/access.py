"""Access control: which host names the service answers to, which web pages may use it, and which requests need the token.

- Host: a service that listens on loopback alone is for this machine. A foreign page whose name was made to resolve to 127.0.0.1 (DNS
  rebinding) is recognised by the name that it asks for: a name that its owner's DNS can answer for, which neither an address is nor a name
  that no public DNS has. On any other address there is no check: others ask by names that are not known here.
- Origin: a browser says which page asks. A foreign page may change nothing unless its origin is allowed: those that a real Ollama allows
  (pages of this machine, and of desktop programs), and those of the settings (`cors`).
- Token: needed by everything below /api and /v1 and by /metrics; the probes and the page's own files are open.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import re
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from aiohttp import web

from gork.config.settings import Settings
from gork.engines.http import is_here
from gork.errors import Unauthorized, WrongHost, WrongOrigin

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_GUARDED = ("/api", "/v1", "/metrics")
_PRIVATE_NAMES = (".localhost", ".local", ".internal")
"""Endings that no public DNS answers for."""
_APPS = frozenset({"app", "file", "tauri", "vscode-webview", "vscode-file"})
"""Schemes of pages that are part of a program on this machine."""
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_EXPOSED = "X-Request-Id, X-Turn-Id, Retry-After"
_FOREIGN_PAGE = "pages of that origin may not use this service: allow it with --cors ORIGIN (GORK_CORS)"


class AccessPolicy:
    """The checks that come before anything else is done for a request."""

    def __init__(self, settings: Settings) -> None:
        self._token = None if settings.token is None else settings.token.reveal().encode()
        self._origins = frozenset(settings.cors)
        self._loopback = all(map(is_here, settings.host))
        named = {name for origin in settings.cors if (name := urlsplit(origin).hostname)}
        self._names = frozenset({*named, *settings.host, "localhost", socket.gethostname().lower()})

    def check_host(self, request: web.Request) -> None:
        """Where only this machine can ask, refuse a host name that may be anybody's. Raises `WrongHost`."""
        hosts = request.headers.getall("Host", [])
        if self._loopback and not all(self._is_here(host) for host in hosts):
            raise WrongHost(
                "this service listens on this machine alone and does not answer to that name: ask for it at localhost or 127.0.0.1; "
                "for others, start it with --host 0.0.0.0, or allow their origin (--cors)"
            )

    def check_origin(self, request: web.Request) -> None:
        """Refuse a request of a foreign page that could change something. Raises `WrongOrigin`.

        A browser itself says that a page asks its own site (`Sec-Fetch-Site`, which no script can set): behind a proxy that passes
        another name on, origin and host differ.
        """
        origin = request.headers.get("Origin")
        if origin is None or request.method in _SAFE or self._allowed(origin):
            return
        if not _same(origin, request.headers.get("Host", "")) and request.headers.get("Sec-Fetch-Site") != "same-origin":
            raise WrongOrigin(_FOREIGN_PAGE)

    def check_token(self, request: web.Request) -> None:
        """Refuse a request that needs the token and lacks it. Raises `Unauthorized`."""
        if self._token is None:
            return
        resource = request.match_info.route.resource
        paths = (request.path,) if resource is None else (request.path, resource.canonical)
        if not any(path == guarded or path.startswith(f"{guarded}/") for path in paths for guarded in _GUARDED):
            return
        given = _given_token(request.headers.get("Authorization", ""))
        if given is None or not hmac.compare_digest(given, self._token):
            raise Unauthorized("this service needs a token: send it as Authorization: Bearer TOKEN")

    def preflight(self, request: web.Request) -> web.Response | None:
        """The reply to a CORS preflight request; None for any other request. Raises `WrongOrigin`.

        Once an origin is allowed, a list of headers would protect nothing: its pages may send what they like.
        """
        if request.method != "OPTIONS" or "Origin" not in request.headers or "Access-Control-Request-Method" not in request.headers:
            return None
        if not self._allowed(request.headers["Origin"]):
            raise WrongOrigin(_FOREIGN_PAGE)
        asked = [name.strip() for name in request.headers.get("Access-Control-Request-Headers", "").split(",")]
        headers = {
            "Access-Control-Allow-Methods": "GET, HEAD, POST, OPTIONS",
            "Access-Control-Allow-Headers": ", ".join(name for name in asked if _HEADER_NAME.fullmatch(name)),
            "Access-Control-Max-Age": "600",
        }
        if request.headers.get("Access-Control-Request-Private-Network") == "true":
            headers["Access-Control-Allow-Private-Network"] = "true"
        return web.Response(status=204, headers=headers)

    def cors_headers(self, request: web.Request) -> Mapping[str, str]:
        """The headers that let a page of an allowed origin read the reply."""
        origin = request.headers.get("Origin")
        if origin is None or not self._allowed(origin):
            return {"Vary": "Origin"}
        return {"Vary": "Origin", "Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": _EXPOSED}

    def _allowed(self, origin: str) -> bool:
        if origin in self._origins:
            return True
        scheme, separator, place = origin.partition("://")
        if scheme in {"http", "https"}:
            name = name_of(place)
            # As browsers call a page of this machine: Tauri's, on Windows, comes from tauri.localhost.
            return is_here(name) or name in {"0.0.0.0", "::"}  # noqa: S104
        return bool(separator) and (scheme in _APPS or (bool(place) and f"{scheme}://*" in self._origins))

    def _is_here(self, host: str) -> bool:
        name = name_of(host)
        return not host or name in self._names or name.endswith(_PRIVATE_NAMES) or _is_address(name)


def _given_token(authorization: str) -> bytes | None:
    """The token of an Authorization header: a bearer's, or the password of a URL such as http://user:TOKEN@host."""
    scheme, _, given = authorization.partition(" ")
    match scheme.lower():
        case "bearer":
            return given.strip().encode("utf-8", "surrogateescape")
        case "basic":
            try:
                user, _, password = base64.b64decode(given.strip(), validate=True).partition(b":")
            except (binascii.Error, ValueError):
                return None
            return password or user
        case _:
            return None


def name_of(host: str) -> str:
    """The name in a Host header, without its port.

    >>> name_of("LOCALHOST:8080"), name_of("[::1]:8080"), name_of("127.0.0.1"), name_of("evil.example:80:80")
    ('localhost', '::1', '127.0.0.1', '')
    """
    if host.startswith("["):
        name, _, port = host[1:].partition("]")
        port = port.removeprefix(":")
    else:
        name, _, port = host.partition(":")
    return name.lower().removesuffix(".") if not port or port.isdecimal() else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _same(origin: str, host: str) -> bool:
    """Whether a page of this origin came from this host itself; a proxy in between may have used https."""
    scheme, _, place = origin.partition("://")
    if scheme not in {"http", "https"}:
        return False
    usual = {"http": ":80", "https": ":443"}[scheme]
    return place.lower().removesuffix(usual) == host.lower().removesuffix(usual)
