"""What an ensemble on the embedded engine needs of this machine: bytes to fetch, on disk and in memory, and whether they are there."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from gork.config.ensemble import Ensemble
from gork.config.weights import Weights
from gork.engines.weights import cache
from gork.errors import WeightsError
from gork.machine import Memory, free_memory

BESIDE_WEIGHTS: Final = 450_000_000
"""Bytes of memory that a model takes beside its weights file: KV cache, buffers (380 MB in a turn of the starter)."""


def files_of(ensemble: Ensemble) -> list[Weights]:
    """The different weights of an ensemble; members that share a file count it once."""
    return list(dict.fromkeys(member.weights for member in ensemble.members if member.weights is not None))


def size_of(ensemble: Ensemble) -> int:
    """Bytes of all its weights, as far as their sizes are known."""
    return sum(weights.size or 0 for weights in files_of(ensemble))


def missing_bytes(ensemble: Ensemble, folder: Path) -> int:
    """Bytes that must be fetched before it can answer."""
    return sum(weights.size or 0 for weights in files_of(ensemble) if not _is_cached(weights, folder))


def memory_for(sizes: Iterable[int]) -> int:
    """Bytes of memory that models with weights of these sizes take, on either engine of this machine."""
    return sum(size + BESIDE_WEIGHTS for size in sizes)


def shortage(ensemble: Ensemble, folder: Path, memory: Memory | None = None) -> str | None:
    """Why it does not fit this machine, as a clause; None if it does, as far as that can be known.

    `memory` is this machine's if not given.
    """
    memory, needed = memory or free_memory(), memory_for(weights.size or 0 for weights in files_of(ensemble))
    if memory is not None and memory.free < needed:
        return f"{ensemble.name} needs {_gb(needed)} of memory, {_gb(memory.free)} are free ({memory.why})"
    missing, free = missing_bytes(ensemble, folder), _free_disk(folder)
    if free is not None and free < missing:
        return f"{ensemble.name} needs {_gb(missing)} on disk, {_gb(free)} are free in {folder}"
    return None


def _is_cached(weights: Weights, folder: Path) -> bool:
    try:
        return cache.cached(weights, folder) is not None
    except WeightsError:  # unusable weights count as missing
        return False


def _free_disk(folder: Path) -> int | None:
    """Bytes that are free where `folder` is or will be; None if that cannot be known."""
    there = next((place for place in (folder, *folder.parents) if place.exists()), None)
    try:
        return None if there is None else shutil.disk_usage(there).free
    except OSError:
        return None


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
