"""The service's log: one line for each thing that happens, as text for people or as JSON for machines, on stderr.

Values may hold what clients and models wrote. A line is one line all the same: characters that end a line, or that a terminal would act
on, are escaped, so that no line can be forged.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

from gork.config.settings import Settings
from gork.config.urls import printable
from gork.service.request_context import current

_LOG = logging.getLogger("gork.service")
_PLAIN = re.compile(r"[A-Za-z0-9_.:/@+{}\[\]*-]{1,200}")
LONGEST = 4000
"""Characters of one value; a longer one is cut."""


def note(
    message: str,
    particulars: Mapping[str, object] | None = None,
    /,
    *,
    level: int = logging.INFO,
    error: BaseException | None = None,
    **more: object,
) -> None:
    """Log what happened, with its particulars (those that are None are left out); the ids of request and turn are added."""
    _LOG.log(level, "%s", message, exc_info=error, extra={"fields": {**(particulars or {}), **more}})


@contextmanager
def logging_to(stream: TextIO, settings: Settings) -> Iterator[None]:
    """Write everything that is logged within the block to a stream, as the settings say; libraries' warnings too."""
    handler = _Lines(stream)
    handler.setFormatter(JsonLines() if settings.log_format == "json" else TextLines())
    root, ours = logging.getLogger(), logging.getLogger("gork")
    before = ours.level
    root.addHandler(handler)
    ours.setLevel(settings.log_level.upper())
    try:
        yield
    finally:
        ours.setLevel(before)
        root.removeHandler(handler)


def speaker(settings: Settings, say: Callable[[str], None]) -> Callable[[str], None]:
    """How lines for people are written: as they are, or as records where every line of the log has to be JSON."""
    return note if settings.log_format == "json" else say


class _Lines(logging.StreamHandler[TextIO]):
    """Writes lines; a stream that is gone stops nothing else."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is the library's
        """Ignore a stream that cannot be written to: there is nowhere to report it."""
        if not isinstance(sys.exception(), OSError | ValueError):
            super().handleError(record)


class TextLines(logging.Formatter):
    """`2026-11-23T01:44:34.123Z INFO turn=0123456789ab request=89ab12cd34ef turn begins route=/api/chat`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; the lines of a traceback follow it, indented."""
        ids = "".join(f" {key}={value}" for key, value in _ids().items())
        fields = "".join(f" {key}={shown(value)}" for key, value in _fields(record).items())
        lines = [f"{_time(record)} {record.levelname}{ids} {printable(_message(record))}{fields}"]
        if record.exc_info:
            lines += [f"    {printable(line)}" for line in self.formatException(record.exc_info).split("\n")]
        return "\n".join(lines)


class JsonLines(logging.Formatter):
    """One JSON object on one line; the particulars are fields beside time, level and message."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of ASCII."""
        line: dict[str, object] = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name, **_ids()}
        line["message"] = _message(record)
        for key, value in _fields(record).items():
            line.setdefault(key, value if isinstance(value, int | float | bool | None) else _cut(str(value)))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def shown(value: object) -> str:
    r"""A value as a line of text shows it: in quotation marks unless it is one plain word.

    >>> shown(1.5), shown("/api/chat"), shown("two\nlines"), shown('"')
    ('1.5', '/api/chat', '"two\\nlines"', '"\\""')
    """
    text = _cut(str(value))
    if _PLAIN.fullmatch(text):
        return text
    return '"' + printable(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _message(record: logging.LogRecord) -> str:
    return _cut(record.getMessage())


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    fields: Mapping[str, object] = getattr(record, "fields", {})
    return {key: value for key, value in fields.items() if value is not None}


def _ids() -> dict[str, str]:
    request = current.get()
    if request is None:
        return {}
    return {**({} if request.turn is None else {"turn": request.turn}), "request": request.id}


def _time(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"
