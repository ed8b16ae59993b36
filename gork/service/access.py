"""Access control: which host names the service answers to, which web pages may use it, and which requests need the token.

- Host: a service that listens on loopback alone is for this machine. A foreign page whose name was made to resolve to 127.0.0.1 (DNS
  rebinding) is recognised by the name that it asks for. On any other address there is no check: a kubelet asks by the pod's IP, others
  by names that are not known here.
- Origin: a browser says which page asks. A foreign page may change nothing unless its origin is allowed (`cors`).
- Token: needed by everything below /api and /v1 and by /metrics; the probes and the page's own files are open.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from aiohttp import web

from gork.config.settings import Settings
from gork.errors import Unauthorized, WrongHost, WrongOrigin

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_GUARDED = ("/api", "/v1", "/metrics")
_HEADERS = frozenset({"authorization", "content-type", "user-agent", "accept", "x-requested-with", "x-request-id", "openai-beta"})
_HEADER_FAMILIES = ("x-stainless-", "x-openwebui-")
"""Headers that clients in a browser add: the OpenAI library its telemetry, Open WebUI the purpose of a request."""
_EXPOSED = "X-Request-Id, X-Turn-Id, Retry-After"


class AccessPolicy:
    """The checks that come before anything else is done for a request."""

    def __init__(self, settings: Settings) -> None:
        self._token = None if settings.token is None else settings.token.reveal().encode()
        self._origins = frozenset(settings.cors)
        self._bound = settings.host.strip("[]").lower()
        self._loopback = is_loopback(self._bound)
        self._names = frozenset(name for origin in settings.cors if (name := urlsplit(origin).hostname))

    def check_host(self, request: web.Request) -> None:
        """Where only this machine can ask, refuse a host name that is not this machine's. Raises `WrongHost`."""
        hosts = request.headers.getall("Host", [])
        if self._loopback and not all(self._is_here(host) for host in hosts):
            raise WrongHost(
                "this service listens on this machine alone and does not answer to that name: ask for it at localhost or 127.0.0.1; "
                "for others, start it with --host 0.0.0.0, or allow their origin (--cors)"
            )

    def check_origin(self, request: web.Request) -> None:
        """Refuse a request of a foreign page that could change something. Raises `WrongOrigin`."""
        origin = request.headers.get("Origin")
        if origin is None or request.method in _SAFE or origin in self._origins:
            return
        if not _same(origin, request.headers.get("Host", "")):
            raise WrongOrigin("pages of that origin may not use this service: allow it with --cors ORIGIN (GORK_CORS)")

    def check_token(self, request: web.Request) -> None:
        """Refuse a request that needs the token and lacks it. Raises `Unauthorized`."""
        if self._token is None:
            return
        resource = request.match_info.route.resource
        paths = (request.path,) if resource is None else (request.path, resource.canonical)
        if not any(path == guarded or path.startswith(f"{guarded}/") for path in paths for guarded in _GUARDED):
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        right = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), self._token)
        if scheme.lower() != "bearer" or not right:
            raise Unauthorized("this service needs a token: send it as Authorization: Bearer TOKEN")

    def preflight(self, request: web.Request) -> web.Response | None:
        """The reply to a CORS preflight request; None for any other request. Raises `WrongOrigin`."""
        if request.method != "OPTIONS" or "Origin" not in request.headers or "Access-Control-Request-Method" not in request.headers:
            return None
        if request.headers["Origin"] not in self._origins:
            raise WrongOrigin("pages of that origin may not use this service: allow it with --cors ORIGIN (GORK_CORS)")
        asked = [name.strip().lower() for name in request.headers.get("Access-Control-Request-Headers", "").split(",")]
        allowed = [name for name in asked if name in _HEADERS or name.startswith(_HEADER_FAMILIES)]
        return web.Response(
            status=204,
            headers={
                "Access-Control-Allow-Methods": "GET, HEAD, POST, OPTIONS",
                "Access-Control-Allow-Headers": ", ".join(allowed),
                "Access-Control-Max-Age": "600",
            },
        )

    def cors_headers(self, request: web.Request) -> Mapping[str, str]:
        """The headers that let a page of an allowed origin read the reply."""
        if not self._origins:
            return {}
        origin = request.headers.get("Origin")
        allowed = {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": _EXPOSED} if origin in self._origins else {}
        return {"Vary": "Origin", **{name: value for name, value in allowed.items() if value is not None}}

    def _is_here(self, host: str) -> bool:
        name = name_of(host)
        return name == "localhost" or name.endswith(".localhost") or is_loopback(name) or name == self._bound or name in self._names


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


def is_loopback(name: str) -> bool:
    """Whether an address or a name means this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("127.0.0.1.evil.org")
    (True, True, True, False, False)
    """
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _same(origin: str, host: str) -> bool:
    """Whether a page of this origin came from this host itself; a proxy in between may have used https."""
    scheme, _, place = origin.partition("://")
    if scheme not in {"http", "https"}:
        return False
    usual = {"http": ":80", "https": ":443"}[scheme]
    return place.lower().removesuffix(usual) == host.lower().removesuffix(usual)
