"""How long a model is kept in memory, as Ollama spells it: `keep_alive`."""

from __future__ import annotations

import math
import re
from typing import Final

from gork.config.schema import Wrong

_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART: Final = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_WHOLE: Final = re.compile(rf"([+-]?)(0|(?:{_PART.pattern})+)")


def seconds_of(written: object) -> float:
    """Seconds of a duration ("5m", "1h30m", 300, 0); infinity for a negative one, which means for ever. Raises `Wrong`.

    >>> seconds_of("5m"), seconds_of("1h30m"), seconds_of(90), seconds_of("0"), seconds_of(-1), seconds_of("-1s")
    (300.0, 5400.0, 90.0, 0.0, inf, inf)
    """
    if isinstance(written, int | float) and not isinstance(written, bool) and not math.isnan(written):
        return float(written) if written >= 0 else math.inf
    found = _WHOLE.fullmatch(written) if isinstance(written, str) and len(written) <= 100 else None
    if found is None:
        raise Wrong('must be a duration such as "5m", "1h30m" or a number of seconds; negative for ever')
    seconds = math.fsum(float(number) * _UNITS[unit] for number, unit in _PART.findall(found[2]))
    return math.inf if found[1] == "-" and seconds else seconds


def setting_of(written: object) -> str:
    """A duration as a setting keeps it: as it was written. A number alone is seconds. Raises `Wrong`."""
    if isinstance(written, str) and re.fullmatch(r"[+-]?[0-9]{1,10}", written):
        written = int(written)
    seconds_of(written)
    return str(written)


def of_setting(kept: str) -> float:
    """Seconds of a setting.

    >>> of_setting(setting_of("5m")), of_setting(setting_of("90")), of_setting(setting_of(-1))
    (300.0, 90.0, inf)
    """
    return seconds_of(int(kept) if re.fullmatch(r"[+-]?[0-9]+", kept) else kept)


def in_words(seconds: float) -> str:
    """A duration for people.

    >>> in_words(300), in_words(90), in_words(3600)
    ('5 min', '90 s', '60 min')
    """
    return f"{seconds / 60:g} min" if seconds >= 60 and seconds % 60 == 0 else f"{seconds:g} s"
