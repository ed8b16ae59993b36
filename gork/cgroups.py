"""Where the kernel keeps what this process's control group may use, version 1 or 2, in a container or out of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

_LONGEST_FILE = 1 << 20


class Place(NamedTuple):
    """A folder of a hierarchy that can limit this process."""

    version: int
    folder: PurePosixPath


def places(root: Path, controller: str) -> Iterator[Place]:
    """The folders from this process's own control group up to the top, for each hierarchy that has the controller.

    A limit on any of them counts. `root` is where `/proc` and the cgroup file systems are looked for.
    """
    own = dict(_own_cgroups(text(root, PurePosixPath("/proc/self/cgroup")), controller))
    mounts: dict[int, list[tuple[str, str]]] = {1: [], 2: []}
    for line in text(root, PurePosixPath("/proc/self/mountinfo")).splitlines():
        before, _, after = line.partition(" - ")
        left, right = before.split(" "), after.split(" ")
        if len(left) >= 5 and right[0] == "cgroup2":
            mounts[2].append((_unescaped(left[3]), _unescaped(left[4])))
        elif len(left) >= 5 and right[0] == "cgroup" and len(right) >= 3 and controller in right[2].split(","):
            mounts[1].append((_unescaped(left[3]), _unescaped(left[4])))
    for version, found in mounts.items():
        if version in own and found:
            top, inside = _place(own[version], found)
            for folder in _on_the_way(top, inside):
                yield Place(version, folder)


def text(root: Path, path: PurePosixPath) -> str:
    """What is in a file, empty if it cannot be read."""
    try:
        with (root / str(path).lstrip("/")).open("rb") as file:
            return os.fsdecode(file.read(_LONGEST_FILE))
    except (OSError, ValueError):
        return ""


def _own_cgroups(listed: str, controller: str) -> Iterator[tuple[int, str]]:
    """This process's path in the version 2 hierarchy, and in that of version 1 which has the controller."""
    for line in listed.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield 2, path
        elif controller in controllers.split(","):
            yield 1, path


def _place(own: str, mounts: list[tuple[str, str]]) -> tuple[PurePosixPath, PurePosixPath]:
    """The mount that shows the process's own cgroup, and the path of that below the mount.

    In a container the mount's root is often the container's own cgroup. Where no mount shows it (a namespace entered later, a path
    with "..") the first mount's top is the best there is.
    """
    for mounted_root, mount in mounts:
        path, top = PurePosixPath(own), PurePosixPath(mounted_root)
        if ".." not in path.parts and path.is_relative_to(top):
            return PurePosixPath(mount), path.relative_to(top)
    return PurePosixPath(mounts[0][1]), PurePosixPath()


def _on_the_way(top: PurePosixPath, inside: PurePosixPath) -> Iterator[PurePosixPath]:
    """The folders from a cgroup up to the top of its mount."""
    folder = top / inside
    yield folder
    while folder != top:
        folder = folder.parent
        yield folder


def _unescaped(path: str) -> str:
    """A path of mountinfo with its octal escapes (blank, tab, newline, backslash) undone."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)
