"""One GGUF file from the model hub, or from what HF_ENDPOINT names, resumed where the last attempt stopped.

`hf_hub_download` throws away what it has when its process ends (each attempt has a file of its own), so that a kill near the end of
a gigabyte costs the gigabyte. This uses the library's session, login and metadata, and keeps one piece for each version (ETag) of a file.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from gork.engines.weights.progress import Bar
from gork.engines.weights.sources import BY_HAND, HubSource, Say, sha256_of
from gork.errors import WeightsError

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

_TRIES = 4
_PAUSE_S = 1.0
_HEAD_TIMEOUT_S = 20.0
_READ_TIMEOUT_S = 30.0
_CHUNK = 1 << 18
_LARGEST = 64 << 30


class _Remote(NamedTuple):
    url: str
    etag: str
    size: int


def download_file(source: HubSource, partial: Path, bar: Bar, say: Say) -> tuple[Path, str]:
    """Fetch the file of `source`, going on with what an earlier attempt left at `partial`.<etag>; returns it and its SHA-256."""
    try:
        import huggingface_hub  # noqa: F401, PLC0415 - half a second, and not installed everywhere
    except ImportError as error:
        raise WeightsError(
            f"cannot fetch {source}: the package huggingface_hub is not usable ({error}); pip install -r requirements.txt, {BY_HAND}"
        ) from None
    with _library_talks_to(say, bar):
        file, remote = _download(source, partial, bar, say)
    return file, _checked(file, remote, source)


def _download(source: HubSource, partial: Path, bar: Bar, say: Say) -> tuple[Path, _Remote]:
    from huggingface_hub import errors  # noqa: PLC0415

    transport: type[Exception] = errors.HfHubHTTPError.__mro__[1]  # HTTPError of httpx or httpx2, whichever the library uses
    tries, best = 0, 0
    while True:
        try:
            remote = _ask(source)
            file = partial.with_name(f"{partial.name}.{re.sub('[^0-9A-Za-z]', '_', remote.etag)[:80]}.part")
            _receive(source, remote, file, bar)
            return file, remote
        except errors.OfflineModeIsEnabled:
            raise WeightsError(f"cannot fetch {source}: HF_HUB_OFFLINE is set; unset it, {BY_HAND}") from None
        except errors.HFValidationError as error:
            raise WeightsError(f"weights: hub {source}: {_one_line(error)}; correct the name in the ensemble file") from None
        except (transport, _CutShort) as error:
            if isinstance(error, errors.HfHubHTTPError) and error.response.status_code < 500 and error.response.status_code != 429:
                raise WeightsError(_refusal(source, error)) from None
            have = max((part.stat().st_size for part in partial.parent.glob(f"{partial.name}.*.part")), default=0)
            tries, best = (1, have) if have > best else (tries + 1, best)
            if tries >= _TRIES:
                raise WeightsError(
                    f"cannot fetch {source} from {_endpoint()}: {_one_line(error)}; check the network and the proxy (HTTPS_PROXY) and try "
                    f"again: it goes on where it stopped ({have / 1e6:,.1f} MB are here), {BY_HAND}"
                ) from None
            bar.clear()
            say(f"{source.name}: {_one_line(error)}; trying again")
            time.sleep(_PAUSE_S)


def _ask(source: HubSource) -> _Remote:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url  # noqa: PLC0415

    url = hf_hub_url(source.repo, source.file, revision=source.revision, endpoint=_endpoint())
    found = get_hf_file_metadata(url, timeout=_HEAD_TIMEOUT_S, endpoint=_endpoint())
    if found.commit_hash is None:
        raise WeightsError(f"cannot fetch {source}: {_endpoint()} is no model hub (it names no commit); check HF_ENDPOINT, {BY_HAND}")
    if found.etag is None or found.size is None or not 0 < found.size <= _LARGEST:
        raise WeightsError(f"cannot fetch {source}: {_endpoint()} does not say how large it is; check HF_ENDPOINT, {BY_HAND}")
    if re.fullmatch("[0-9a-f]{40}", found.commit_hash):
        url = hf_hub_url(source.repo, source.file, revision=found.commit_hash, endpoint=_endpoint())
    return _Remote(url, found.etag, found.size)


def _receive(source: HubSource, remote: _Remote, file: Path, bar: Bar) -> None:
    with file.open("ab") as writing:
        have = writing.tell()
        if have > remote.size:
            writing.truncate(0)
            have = 0
        free = shutil.disk_usage(file.parent).free
        if remote.size - have > free:
            raise WeightsError(
                f"no room for {source} in {file.parent}: {(remote.size - have) / 1e6:,.0f} MB are missing, "
                f"{free / 1e6:,.0f} MB are free; make room"
            )
        if have < remote.size:
            _stream(source, remote, writing, have, bar)


def _stream(source: HubSource, remote: _Remote, writing: BinaryIO, have: int, bar: Bar) -> None:
    """Append what is missing; redirects are followed, and the client keeps its token from other hosts."""
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status  # type: ignore[attr-defined]  # noqa: PLC0415

    headers = build_hf_headers(library_name="gork") | {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with get_session().stream("GET", remote.url, headers=headers, timeout=_READ_TIMEOUT_S, follow_redirects=True) as response:
        if have and (response.status_code != 206 or not response.headers.get("Content-Range", "").startswith(f"bytes {have}-")):
            writing.truncate(0)  # the server does not go on where it was asked to
            have = 0
            if response.status_code in {206, 416}:
                raise _CutShort("the server went on at another place than it was asked to")
        hf_raise_for_status(response)
        for chunk in response.iter_raw(_CHUNK):
            have += len(chunk)
            if have > remote.size:
                raise WeightsError(f"{source}: more came than the {remote.size:,} bytes that were announced; check HF_ENDPOINT, {BY_HAND}")
            writing.write(chunk)
            bar.at(have, remote.size)
    if have < remote.size:
        raise _CutShort(f"it ended after {have:,} of {remote.size:,} bytes")


def _checked(file: Path, remote: _Remote, source: HubSource) -> str:
    """Check against the hub's own SHA-256, which is the ETag of a large file."""
    found = sha256_of(file)
    if re.fullmatch("[0-9a-f]{64}", remote.etag) and found != remote.etag:
        file.unlink()
        raise WeightsError(f"{source} came damaged: the hub says SHA-256 {remote.etag}, found {found}; it was removed. Try again")
    return found


def _refusal(source: HubSource, error: HfHubHTTPError) -> str:
    from huggingface_hub import errors  # noqa: PLC0415

    if isinstance(error, errors.RemoteEntryNotFoundError):
        return f"{_endpoint()} has no file {source.file} in {source.repo} at {source.revision}; correct the name in the ensemble file"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{_endpoint()} has no revision {source.revision} of {source.repo}; correct it in the ensemble file"
    if isinstance(error, errors.RepositoryNotFoundError) or error.response.status_code in {401, 403}:
        return (
            f"{_endpoint()} has no repository {source.repo}, or it needs a login or an accepted licence; correct the name, or set HF_TOKEN "
            f"(hf auth login), {BY_HAND}"
        )
    return f"cannot fetch {source}: {_endpoint()} answered {error.response.status_code}; try again later, {BY_HAND}"


def _endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


class _CutShort(Exception):
    """The transfer ended before the file did, without an error of the transport."""


@contextlib.contextmanager
def _library_talks_to(say: Say, bar: Bar) -> Iterator[None]:
    """Make lines of what the library would write to stderr in its own way."""

    class Saying(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING:
                bar.clear()
                say(" ".join(record.getMessage().split())[:300])

    logger = logging.getLogger("huggingface_hub")
    before, logger.handlers = logger.handlers, [Saying()]
    try:
        yield
    finally:
        logger.handlers = before
