"""The process in which untrusted programs are read and run; started by `sandbox.py` as a script, speaks JSON lines with it.

It keeps one worker of pydantic-monty, an interpreter without access to the host, and stands between that and the program it serves for
four reasons: what crashes here, the compiler of CPython included, crashes nobody else; its environment is empty; what the interpreter
says on stderr is nobody's; and the blocking interface of pydantic-monty can be used, since the asynchronous one ends the interpreter that
it is loaded in with an abort, often (1.4.0, docs/decisions.md). It needs nothing of this project, and ends with whoever holds its stdin.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import json
import os
import re
import signal
import sys
import threading
import time
import types
import warnings
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic_monty import Monty, MontyError, OSPolicy, ResourceLimits

_NAME = "last_value_of_the_program"
_LONGEST_MESSAGE = 300
_GRACE_S = 0.25
"""How long past its own limit a program may go on before its worker is killed."""
_MOST_SUSPENSIONS = 100
"""How often a program may look for something that is not there."""
_COMPARED = (
    *("math", "re", "json", "random", "time", "collections", "itertools", "functools", "copy", "bisect", "decimal", "datetime"),
    *("typing", "dataclasses", "sys", "os", "pathlib"),
)
"""Modules of which the sandbox has a part: what the whole one has and the part has not is not known, rather than wrong."""
_WITHOUT_NAME = {kind.__name__: kind for kind in (types.FunctionType, types.BuiltinFunctionType, types.ModuleType, types.GeneratorType)}
"""Types that no module has under their name: of functions, modules, generators."""
_SPECIAL_METHODS = re.compile(
    r"__(?:init|post_init|str|repr|eq|hash|getitem|setitem|contains|iter|next|call|enter|exit|neg|pos|invert|abs|int|float|index|round|divmod"
    r"|[ri]?(?:add|sub|mul|matmul|truediv|floordiv|mod|pow|and|or|xor|lshift|rshift))__"
)
"""Special methods of a class that the sandbox calls. It passes over all others without a word (`__bool__`, `__lt__`, `__format__`), and
what such a program prints may be wrong."""
_NO_ATTRIBUTE = re.compile(r"(?:(module )|type object )?'([\w.]{1,60})'(?: object)? has no attribute '(\w{1,60})'")
_NO_NAME = re.compile(r"name '(\w{1,60})' is not defined")
_NOT_AN_ITERATOR = re.compile(r"'\w+' object is not an iterator")
"""What `next` says of a generator expression, which is a list here; of what is no iterator in CPython either, it says the same."""
_NO_KEYWORD = re.compile(r"(?:\w+\.)?(\w{1,60})\(\)(?: got)? .*(?:keyword argument|at most|exactly|positional)")


def main() -> None:
    """Serve requests from stdin until it is closed; the paths in the arguments are where pydantic-monty may be found."""
    sys.path += [path for path in sys.argv[1:] if path not in sys.path]
    _bound()
    requests: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_serve, args=(requests,), daemon=True).start()
    for line in sys.stdin:
        requests.put(line)
    _end()  # in the middle of a program too


def _bound() -> None:
    """No core dumps and no files written, by the system's own word: this process and the one it starts have no need of either."""
    try:
        import resource  # noqa: PLC0415 - there is none on Windows
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _end() -> None:
    """Everything at once: the interpreter is of this process's group, if the group is its own."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def _say(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _serve(requests: SimpleQueue[str]) -> None:
    try:
        from pydantic_monty import Monty  # noqa: PLC0415 - what is missing is said to the parent

        with Monty(min_processes=1, max_processes=1, max_checkouts_per_worker=1, feed_duration_limit_grace=_GRACE_S) as pool:
            _say({"ready": True})
            while True:
                _say(_answer(pool, json.loads(requests.get())))
    except Exception as exc:  # whatever it is, the parent must hear of it
        _say({"unavailable": _line(f"{type(exc).__name__}: {exc}")})
    finally:
        _end()


def _answer(pool: Monty, request: dict[str, Any]) -> dict[str, object]:
    """What came of one program: its output, or what kind of thing stopped it and the words for that."""
    started = time.perf_counter()
    source, fault = _with_last_value(request["source"])
    answer = _run(pool, source, request) if fault is None else {"kind": fault[0], "message": _line(fault[1])}
    return answer | {"seconds": time.perf_counter() - started}


def _with_last_value(source: str) -> tuple[str, tuple[str, str] | None]:
    """The program with the value of its last expression kept under a name; or, if it is not to be run, the kind and the words."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
            compile(source, "program", "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as exc:  # ValueError: null bytes, lone surrogates
        return "", ("syntax", str(exc))
    except (RecursionError, MemoryError, OverflowError) as exc:
        return "", ("not_known", f"too deeply nested to be read ({type(exc).__name__})")
    if (ignored := _ignored(tree)) is not None:
        return "", ("not_known", f"the special method {ignored} is not supported")
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr) or last.end_lineno is None or last.end_col_offset is None:
        return source, None
    lines = source.encode().splitlines(keepends=True)
    lines[last.end_lineno - 1] = _inserted(lines[last.end_lineno - 1], last.end_col_offset, b")")
    lines[last.lineno - 1] = _inserted(lines[last.lineno - 1], last.col_offset, f"{_NAME} = (".encode())
    return b"".join(lines).decode(), None


def _ignored(tree: ast.Module) -> str | None:
    """The first special method of a class that the sandbox would pass over in silence."""
    methods = (part for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for part in node.body if isinstance(part, ast.FunctionDef))
    names = (method.name for method in methods if method.name.startswith("__") and method.name.endswith("__"))
    return next((name for name in names if not _SPECIAL_METHODS.fullmatch(name)), None)


def _inserted(line: bytes, at: int, what: bytes) -> bytes:
    return line[:at] + what + line[at:]


class _Output:
    """What a program printed; one that prints more than it may is ended on the spot (the library looks only when the program ends)."""

    def __init__(self, most: int, pid: int | None) -> None:
        self.text, self.overflowed, self._most, self._pid = "", False, most, pid

    def __call__(self, _stream: str, text: str) -> None:
        if self.overflowed:
            return
        self.text += text
        if len(self.text.encode()) > self._most:
            self.overflowed = True
            if self._pid is not None:
                os.kill(self._pid, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)


def _run(pool: Monty, source: str, request: dict[str, Any]) -> dict[str, object]:
    from pydantic_monty import MontyError  # noqa: PLC0415 - `_serve` has imported it

    policy: OSPolicy = {"sleep": "zero", "timezone": request["timezone"]}
    if request["seed"] is not None:
        policy["random_start"] = {"seed": request["seed"]}
    limits: ResourceLimits = {
        "max_feed_duration_secs": request["seconds"],
        "max_memory": request["memory_mb"] * 2**20,
        "max_suspensions": _MOST_SUSPENSIONS,
    }
    output = _Output(request["output_bytes"], None)
    try:
        with pool.checkout(limits=limits, os_policy=policy, assert_message_annotations=False) as session:
            output = _Output(request["output_bytes"], session.worker_pid)
            session.feed_run(source, print_callback=output)
            if not output.text and source != request["source"]:
                session.feed_run(f"print({_NAME})", print_callback=output)
    except MontyError as exc:
        if not output.overflowed:
            kind, message = _read(exc)
            return {"kind": kind, "message": message}
    if output.overflowed:
        return {"kind": "output", "message": f"printed more than {request['output_bytes']} bytes"}
    return {"output": output.text}


def _read(error: MontyError) -> tuple[str, str]:
    """The kind of an error and its words in one line."""
    from pydantic_monty import MontyCrashedError, MontySyntaxError  # noqa: PLC0415

    message = _line(str(error))
    if isinstance(error, MontyCrashedError):
        return ("time" if error.timed_out else "not_known"), message
    if isinstance(error, MontySyntaxError):
        return "not_known", message  # CPython has read it
    match error.exception():
        case TimeoutError():
            return "time", message
        case MemoryError():
            return "memory", message
        case exc:
            return ("not_known" if _is_lack(exc) else "error"), message


def _is_lack(exc: BaseException) -> bool:
    """Whether an exception says that the sandbox lacks something, rather than that the program is wrong."""
    words = str(exc)
    match exc:
        case ImportError() | OSError():
            return True
        case NotImplementedError() | RuntimeError() | re.error():
            # "executing regex" is a limit on backtracking that CPython has not.
            return any(part in words for part in ("support", "executing regex", "Internal error", "suspension limit"))
        case NameError():
            return (found := _NO_NAME.search(words)) is not None and hasattr(builtins, found[1])
        case AttributeError():
            return (found := _NO_ATTRIBUTE.search(words)) is not None and _has_attribute(found[2], found[3], module=bool(found[1]))
        case TypeError():
            found = _NO_KEYWORD.search(words)
            return _NOT_AN_ITERATOR.search(words) is not None or (found is not None and _is_known_callable(found[1]))
        case _:
            return False


def _has_attribute(owner: str, name: str, *, module: bool) -> bool:
    """Whether CPython's module or type of this name has the attribute."""
    if module:
        return owner in _COMPARED and hasattr(importlib.import_module(owner), name)
    every = name.startswith("__") and hasattr(type, name)  # what every object or class has
    return every or any(isinstance(found, type) and hasattr(found, name) for found in _named(owner.rpartition(".")[2]))


def _named(name: str) -> list[object]:
    modules = [builtins, *map(importlib.import_module, _COMPARED)]
    named = [found for module in modules if (found := getattr(module, name, None)) is not None]
    return [*named, _WITHOUT_NAME[name]] if name in _WITHOUT_NAME else named


def _is_known_callable(name: str) -> bool:
    """Whether a function or method of this name is CPython's own: a complaint about its arguments is then the sandbox's lack."""
    types = (str, bytes, list, tuple, dict, set, frozenset, int, float)
    return bool(_named(name)) or any(hasattr(kind, name) for kind in types)


def _line(text: str) -> str:
    """In one printable line."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * _LONGEST_MESSAGE]).split())
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[: _LONGEST_MESSAGE - 1]}…"


if __name__ == "__main__":
    main()
