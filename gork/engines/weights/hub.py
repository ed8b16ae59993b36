"""One GGUF file from the model hub, or from what HF_ENDPOINT names, resumed where the last attempt stopped.

The library's session, login and metadata are used, with a ranged GET of our own. `hf_hub_download` throws away what it has when its
process ends, and `http_get(resume_size=...)` writes 10 MB at a time: a connection that breaks sooner never brings anything.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from gork.config.weights import HubFile
from gork.engines.weights.transfer import BY_HAND, Transfer, sha256_of
from gork.errors import WeightsError

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

_CHUNK = 1 << 18
_NO_MORE_TRIES = frozenset(range(400, 500)) - {408, 429}


class _Remote(NamedTuple):
    url: str
    etag: str
    size: int


class _Broken(Exception):
    """The connection to the hub broke, or could not be made."""


def fetch(source: HubFile, transfer: Transfer) -> tuple[Path, str]:
    """Bring the file, going on with what an earlier attempt left; returns where it is and its SHA-256. Raises a `WeightsError`."""
    try:
        import huggingface_hub  # noqa: F401, PLC0415 - half a second, and not installed everywhere
    except ImportError as error:
        raise WeightsError(
            f"the model hub cannot be asked: the package huggingface_hub is not usable ({error})",
            fix=f"pip install huggingface_hub, {BY_HAND}",
        ) from None
    with _library_talks_to(transfer):
        try:
            remote = _first_contact(source, transfer)
        except _Broken as error:
            raise _unreachable(error) from None
        file = transfer.kept(f"{re.sub('[^0-9A-Za-z]', '_', remote.etag)[:80]}.part")
        _download(source, remote, file, transfer)
    return file, _checked(file, remote, transfer)


def _first_contact(source: HubFile, transfer: Transfer) -> _Remote:
    """Ask for the file's metadata, in bounded time whatever hangs (a name look-up has no time-out of its own)."""
    found: list[_Remote | BaseException] = []

    def ask() -> None:
        try:
            found.append(_ask(source, transfer))
        except BaseException as error:  # raised again where it is awaited
            found.append(error)

    asking = threading.Thread(target=ask, name="model hub", daemon=True)
    asking.start()
    asking.join(transfer.limits.contact_s)
    if not found:
        raise _Broken(f"no answer within {transfer.limits.contact_s:g} s")
    (answer,) = found
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _ask(source: HubFile, transfer: Transfer) -> _Remote:
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url  # noqa: PLC0415

    try:
        with _breaks_named():
            url = hf_hub_url(source.repo, source.file, revision=source.revision, endpoint=_endpoint())
            found = get_hf_file_metadata(url, timeout=transfer.limits.connect_s, endpoint=_endpoint())
    except errors.OfflineModeIsEnabled:
        raise WeightsError("the model hub is not asked: HF_HUB_OFFLINE is set", fix=f"unset it, {BY_HAND}") from None
    except errors.HFValidationError as error:
        raise WeightsError(f"{source} is not a name on the model hub ({_one_line(error)})", fix="correct it in the ensemble file") from None
    except errors.HfHubHTTPError as error:
        if error.response.status_code not in _NO_MORE_TRIES:
            raise _Broken(_one_line(error)) from None
        raise _refusal(source, error) from None
    if found.commit_hash is None or found.etag is None or found.size is None:
        raise WeightsError(
            f"what answers at {_endpoint()} is not a model hub",
            fix=f"check HF_ENDPOINT, or sign in to this network, {BY_HAND}",
        )
    transfer.check_size(found.size, _endpoint())
    if re.fullmatch("[0-9a-f]{40}", found.commit_hash):
        url = hf_hub_url(source.repo, source.file, revision=found.commit_hash, endpoint=_endpoint())
    if transfer.weights.sha256 is not None and re.fullmatch("[0-9a-f]{64}", found.etag) and found.etag != transfer.weights.sha256:
        raise WeightsError(
            f"{source} is not the pinned file: the model hub says SHA-256 {found.etag}, expected {transfer.weights.sha256}",
            fix="correct sha256 or the revision in the ensemble file",
        )
    return _Remote(url, found.etag, found.size)


def _download(source: HubFile, remote: _Remote, file: Path, transfer: Transfer) -> None:
    """Fetch what is missing of the file; gives up when no connection brings anything any more."""
    limits, tries, best = transfer.limits, 0, 0
    while True:
        with file.open("ab") as writing:
            if writing.tell() > remote.size:
                _empty(writing)
            transfer.check_room(remote.size - writing.tell())
            if writing.tell() == remote.size:
                return
            try:
                _stream(source, remote, writing, transfer)
            except _Broken as error:
                have = writing.tell()
                tries, best = (1, have) if have > best else (tries + 1, best)
                if tries >= limits.tries:
                    raise _unreachable(error, have) from None
                transfer.say(f"{source.file}: {error}; trying again")
            else:
                return
        time.sleep(limits.pause_s)


def _stream(source: HubFile, remote: _Remote, writing: BinaryIO, transfer: Transfer) -> None:
    """Append what is missing; redirects are followed, and the client keeps its token from other hosts."""
    from huggingface_hub import errors  # noqa: PLC0415
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status  # type: ignore[attr-defined]  # noqa: PLC0415

    have = writing.tell()
    headers = build_hf_headers(library_name="gork") | {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with (
        _breaks_named(),
        get_session().stream("GET", remote.url, headers=headers, timeout=transfer.limits.read_s, follow_redirects=True) as response,
    ):
        if have and not (response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")):
            _empty(writing)  # the server does not go on where it was asked to
            have = 0
            if response.status_code in {206, 416}:
                raise _Broken("the server went on at another place than it was asked to")
        try:
            hf_raise_for_status(response)
        except errors.HfHubHTTPError as error:
            if error.response.status_code in _NO_MORE_TRIES:
                raise _refusal(source, error) from None
            raise _Broken(_one_line(error)) from None
        for chunk in response.iter_raw(_CHUNK):
            have += len(chunk)
            if have > remote.size:
                raise WeightsError(f"more of {source} came than the {remote.size:,} bytes that were announced", fix="check HF_ENDPOINT")
            writing.write(chunk)
            transfer.at(have, remote.size)
    if have < remote.size:
        raise _Broken(f"it ended after {have:,} of {remote.size:,} bytes")


def _empty(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()


def _checked(file: Path, remote: _Remote, transfer: Transfer) -> str:
    """Check against the hub's own SHA-256, which is the ETag of a large file."""
    found = sha256_of(file)
    if re.fullmatch("[0-9a-f]{64}", remote.etag) and found != remote.etag:
        transfer.discard()
        raise WeightsError(
            f"{transfer.weights.file} came damaged from the model hub: it says SHA-256 {remote.etag}, found {found}; it was removed",
            fix="try again",
        )
    return found


@contextlib.contextmanager
def _breaks_named() -> Iterator[None]:
    """Make one exception of all that a connection can do wrong."""
    import httpx2  # noqa: PLC0415 - what the hub's library is made on
    from huggingface_hub import errors  # noqa: PLC0415

    try:
        yield
    except errors.HfHubHTTPError:
        raise
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise _Broken(_one_line(error)) from None
    except (ImportError, ValueError) as error:
        if "proxy" not in str(error).lower():
            raise
        socks = "it is a SOCKS proxy, which needs the package socksio: pip install socksio"
        raise _Broken(f"the proxy cannot be used: {socks if isinstance(error, ImportError) else _one_line(error)}") from None


def _unreachable(error: _Broken, have: int = 0) -> WeightsError:
    resumed = f" and try again: it goes on where it stopped ({have / 1e6:,.1f} MB are here)" if have else ""
    certificate = ", your company's certificates (SSL_CERT_FILE)" if "CERTIFICATE" in str(error).upper() else ""
    return WeightsError(
        f"the model hub cannot be reached ({_endpoint()}: {error})",
        fix=f"check the network and the proxy (HTTPS_PROXY){certificate}{resumed}, {BY_HAND}",
    )


def _refusal(source: HubFile, error: HfHubHTTPError) -> WeightsError:
    from huggingface_hub import errors  # noqa: PLC0415

    status = error.response.status_code
    if isinstance(error, errors.RemoteEntryNotFoundError):
        what, fix = f"no file {source.file} in {source.repo} at {source.revision}", "correct the name in the ensemble file"
    elif isinstance(error, errors.RevisionNotFoundError):
        what, fix = f"no revision {source.revision} of {source.repo}", "correct it in the ensemble file"
    elif isinstance(error, errors.RepositoryNotFoundError) or status in {401, 403}:
        what = f"no repository {source.repo}, or it needs a login or an accepted licence"
        fix = f"correct the name, or set HF_TOKEN (hf auth login), {BY_HAND}"
    else:
        return WeightsError(f"the model hub at {_endpoint()} answered {status} for {source}", fix=f"try again later, {BY_HAND}")
    return WeightsError(f"the model hub at {_endpoint()} has {what}", fix=fix)


def _endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


@contextlib.contextmanager
def _library_talks_to(transfer: Transfer) -> Iterator[None]:
    """Make lines of what the library would write to stderr in its own way."""

    class Saying(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING:
                transfer.say(" ".join(record.getMessage().split())[:300])

    logger = logging.getLogger("huggingface_hub")
    before, logger.handlers = logger.handlers, [Saying()]
    try:
        yield
    finally:
        logger.handlers = before
