"""Where the user's own folders are."""

from __future__ import annotations

from pathlib import Path

import pytest

from gork.config.folders import cache_home, config_home, state_home


@pytest.mark.parametrize(
    ("folder", "variable", "usual"),
    [
        (config_home, "XDG_CONFIG_HOME", ".config"),
        (state_home, "XDG_STATE_HOME", ".local/state"),
        (cache_home, "XDG_CACHE_HOME", ".cache"),
    ],
)
def test_each_folder_follows_its_variable_else_the_home_folder(folder, variable, usual):
    """An absolute path in the variable wins, a relative one is ignored; without a home folder there is none."""
    assert folder({variable: "/x", "HOME": "/home/me"}) == Path("/x/gork")
    assert folder({variable: "x", "HOME": "/home/me"}) == Path("/home/me") / usual / "gork"
    assert folder({"USERPROFILE": "/users/me"}) == Path("/users/me") / usual / "gork"
    assert folder({variable: "x"}) is None
    assert folder({"HOME": "not/absolute"}) is None
