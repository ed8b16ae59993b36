"""`--server` and `GORK_SERVER`: questions go to a running service, and what is told when they cannot."""

from __future__ import annotations

from collections.abc import Callable

from gork.config.settings import Settings
from gork.errors import NoService
from gork.terminal.session import Backing

Say = Callable[[str], None]
_BY_HAND = "--server"


async def backing(settings: Settings, *, again: str, say: Say) -> Backing | None:
    """What a session on the service works with; None, and a line that says why, if models here are to answer after all.

    They are where nobody answers at an address that stands in a variable or a file. An address given by hand is meant: then, and when
    a service is there but refuses, a `ServiceError` is raised.
    """
    from gork import remote  # noqa: PLC0415 - turns in this process do not wait for its import

    by_hand = settings.origins["server"] == _BY_HAND
    try:
        there = await remote.reach(settings, again=again)
    except NoService as error:
        if by_hand:
            advice = f"start one there (final_script.py serve), or leave out {_BY_HAND} to have models here answer"
            raise NoService(f"{error}; {advice}") from None
        say(f"{error}; models here answer instead ({settings.origins['server']} names it)")
        return None
    if unused := remote.unused_flags(settings):
        say(f"not used, since the service has its own: {', '.join(unused)} (they count without {settings.origins['server']})")
    say(there.line)
    return Backing(
        ask=there.ask,
        settings=there.settings,
        check=there.check,
        explain=there.explain if there.settings.ensemble.judge is not None else None,
    )


def tell_unused(verb: str, settings: Settings, say: Say) -> None:
    """Say that a verb is not about the service, where somebody may think so."""
    if settings.server is not None and (verb == "doctor" or settings.origins["server"] == _BY_HAND):
        say(f"{verb} is about models here: the service at {settings.server} is not asked")
