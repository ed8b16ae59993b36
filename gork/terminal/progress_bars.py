"""Bars for things that are being fetched, drawn by rich: only for a terminal, which is why only that imports this."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, TaskID, TextColumn, TransferSpeedColumn

from gork.terminal.safe_text import wrapped

_NARROW = 64
_PER_SECOND = 8


class Bars:
    """One bar for each download; the bars are gone when it is left, lines stay."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        console.width -= 2  # room for the terminal's ^C, which would begin a new line and leave the bar on the old one
        columns: list[ProgressColumn] = [TextColumn("{task.description}", markup=False), BarColumn(bar_width=None)]
        if console.width >= _NARROW:
            columns += [DownloadColumn(), TransferSpeedColumn()]
        else:
            columns.append(TextColumn("{task.percentage:>3.0f} %"))
        self._progress = Progress(*columns, console=console, transient=True, refresh_per_second=_PER_SECOND, expand=True)
        self._widest = console.width // 3
        self._tasks: dict[str, TaskID] = {}

    def say(self, line: str) -> None:
        """Show a line above the bars, broken at words, without what a terminal would act on."""
        plain = "".join(c if c.isprintable() or c == "\n" else " " for c in line)
        console = self._progress.console
        broken = "\n".join(part for each in plain.split("\n") for part in wrapped(each, console.width))
        console.print(broken, markup=False, highlight=False, soft_wrap=True)

    def at(self, name: str, done: int, total: int) -> None:
        """Move a job's bar."""
        self._progress.update(self._task(name), completed=done, total=total or None, description=self._fitted(name))

    def note(self, name: str, status: str) -> None:
        """Show what is being done in place of the job's name alone."""
        self._progress.update(self._task(name), description=self._fitted(f"{name}: {status}"))

    def end(self, name: str) -> None:
        """Take a job's bar away."""
        if (task := self._tasks.pop(name, None)) is not None:
            self._progress.remove_task(task)

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def _task(self, name: str) -> TaskID:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(self._fitted(name), total=None)
        return self._tasks[name]

    def _fitted(self, text: str) -> str:
        plain = "".join(c if c.isprintable() else " " for c in text)
        return plain if len(plain) <= self._widest else plain[: self._widest - 3] + "..."
