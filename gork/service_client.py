"""HTTP to a running service: requests out, checked events in, every failure one line that names the service and what to do.

The token goes to the service alone: no redirect is followed. A proxy that the environment names is used as by other programs, but never
for a service on this machine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from yarl import URL

from gork.config.schema import Secret
from gork.config.urls import masked
from gork.engines.http import (
    STANDARD_LIMITS,
    EventReader,
    Fault,
    FaultKind,
    HttpClient,
    HttpLimits,
    Refusal,
    error_text,
    open_session,
    plain,
    proxy_for,
)
from gork.errors import NoService, ServiceError
from gork.wire import BadEvent, WireEvent, decode

SILENCE_S = 60.0
"""Without a byte for this long, heartbeats included, the service counts as gone."""
_T = TypeVar("_T")

_FAULTS: Mapping[FaultKind, str] = {
    FaultKind.PROXY: "cannot be reached through the proxy that the environment names: correct it or set NO_PROXY",
    FaultKind.NO_CONNECTION_IN_TIME: "cannot be reached: no connection in time",
    FaultKind.UNKNOWN_HOST: "cannot be reached: its host name is unknown",
    FaultKind.NOT_SECURE: "cannot be reached: no secure connection ({detail})",
    FaultKind.NO_CONNECTION: "cannot be reached: {detail}",
    FaultKind.SILENT: "has sent nothing for {silence:g} s, it is gone or stuck: {again}",
    FaultKind.LATE: "does not reply in time: is it overloaded?",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceClient:
    """One service: where it is, how it is asked, and what its faults and refusals mean."""

    url: str
    token: Secret | None
    connect_s: float
    again: str
    """What a person can do when a turn broke off."""
    silence_s: float = SILENCE_S
    limits: HttpLimits = STANDARD_LIMITS

    def error(self, what: str, kind: type[ServiceError] = ServiceError) -> ServiceError:
        """Make an error about this service."""
        return kind(f"the service at {masked(self.url)} {what}")

    async def get(self, path: str, to: type[_T], *, within_s: float) -> _T:
        """Ask for a record. Raises a `ServiceError`, a `NoService` if what answers has nothing of the kind."""
        async with self._http() as http, http.reply(path, timeout_s=within_s) as reply:
            content = await reply.read()
        try:
            return msgspec.json.decode(content, type=to)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._foreign(f"its reply to {path} is another one: {plain(str(error))}") from None

    async def events(self, path: str, body: object | None, take: Callable[[WireEvent], _T | None]) -> _T:
        """Send a request (GET without a body) that is answered by events, and give each to `take` until that returns something.

        Leaving it, however that happens, closes the connection, and the service stops what it does for it. Raises a `ServiceError`.
        """

        def read(sent: tuple[str, bytes]) -> _T | None:
            event = self._event(*sent)
            return None if event is None else take(event)

        data = None if body is None else msgspec.json.encode(body)
        async with self._http() as http, http.reply(path, data, idle_s=self.silence_s, at_work=True) as reply:
            if reply.content_type != "text/event-stream":
                raise self._foreign(f"its reply to {path} is {plain(reply.content_type)}")
            result = await reply.follow(EventReader(self.limits.line), read)
        if result is None:
            raise self.error(f"went away before the turn had ended: {self.again}")
        return result

    async def tell(self, path: str, headers: Mapping[str, str], *, within_s: float) -> None:
        """Send a request without a body, whose reply has none. Raises a `ServiceError`."""
        async with self._http() as http, http.reply(path, b"", headers=headers, timeout_s=within_s):
            pass

    async def post(self, path: str, body: object, *, within_s: float) -> None:
        """Send a request whose reply has nothing to say but that it is done. Leaving it closes the connection. Raises a `ServiceError`."""
        async with self._http() as http, http.reply(path, msgspec.json.encode(body), timeout_s=within_s):
            pass

    def _event(self, kind: str, data: bytes) -> WireEvent | None:
        try:
            return decode(kind, data)
        except BadEvent as error:
            raise self.error(f"sent an invalid {plain(kind)[:40]} event: {plain(str(error))}; is it another version?") from None

    @asynccontextmanager
    async def _http(self) -> AsyncIterator[HttpClient]:
        url = URL(self.url)
        token = {} if self.token is None else {"Authorization": f"Bearer {self.token.reveal()}"}
        async with open_session(self.connect_s) as session:
            yield HttpClient(session=lambda: session, base=url, translator=self, headers=token, proxy=self._proxy(url), limits=self.limits)

    def _proxy(self, url: URL) -> str | None:
        """The proxy that the environment (or the system) names for this URL; never one for a service on this machine."""
        proxy = proxy_for(url)
        if proxy is not None and not proxy.startswith(("http://", "https://")):
            raise self.error(f"would be asked through {masked(proxy)}, which is not an HTTP proxy: put its host into NO_PROXY")
        return proxy

    def refused(self, refusal: Refusal) -> ServiceError:
        """Make an error of a reply whose status is not 200."""
        said, status = error_text(refusal.body), refusal.status
        words = plain(said or "")
        if status == 401:
            refused = "does not accept the token that it was sent" if self.token is not None else "needs a token"
            return self.error(f"{refused} (HTTP 401): set GORK_TOKEN or GORK_TOKEN_FILE")
        if 300 <= status < 400:
            target = plain(masked(refusal.location or "")) or "nowhere"
            return self.error(f"redirects to {target} (HTTP {status}), which is not followed: give the URL it should be asked at")
        if said is None:
            proxied = "; is the service that this proxy stands for running?" if status in {502, 503, 504} else ""
            return self._foreign(f"it answers HTTP {status}{proxied}")
        if status == 404:
            return self._foreign(f"it answers HTTP 404, {words}")
        if status == 503:
            after = refusal.retry_after or ""
            soon = f"in {after} s" if after.isdecimal() and len(after) < 6 else "later"
            return self.error(f"is busy: {words}; {self.again} {soon}")
        return self.error(f"refused this (HTTP {status}): {words}")

    def broken(self, fault: Fault) -> ServiceError:
        """Make an error of a fault of the transport."""
        match fault.kind:
            case FaultKind.NOT_HTTP:
                return self._foreign(f"it does not speak HTTP: {fault.detail}")
            case FaultKind.NOT_JSON:
                return self._foreign(f"its reply {fault.detail}")
            case FaultKind.TOO_LONG if not fault.at_work:
                return self._foreign(f"its reply is {fault.detail}")
            case FaultKind.TOO_LONG:
                return self.error(f"sent a reply {fault.detail}: is it another program?")
            case _:
                pass
        what = _FAULTS.get(fault.kind, "went away: {again}")
        return self.error(what.format(detail=fault.detail, again=self.again, silence=self.silence_s), NoService)

    def _foreign(self, why: str) -> ServiceError:
        return self.error(f"is not a service of this program ({why}): check the URL", NoService)
