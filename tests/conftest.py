"""After each test, its planted secrets are looked for in everything it left behind.

The search is `tests.leaks`; here is what it is fed with.  A leak is an error of the test's
teardown, with the place.
"""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, Final

import pytest
import structlog.testing

from jobs.errors import PlugwaveError
from tests.leaks import leak_in, leaks_in_folder
from tests.planted import watched

PRODUCT: Final = frozenset({"config", "jobs", "worker"})

_found: Final[list[str]] = []
"""Leaks of the running test that were seen while it ran."""

_given: Final[set[Path]] = set()
"""Files that the running test wrote itself."""


def _look(place: str, text: object) -> None:
    """Note a leak if *text* holds one."""
    shown = text if isinstance(text, str | bytes) else repr(text)
    leak = leak_in(shown)
    if leak:
        _found.append(f"{place}: {leak}")


def _before(owner: type, name: str, look: Callable[..., None]) -> None:
    """Have *look* see the arguments of each call of a method."""
    original = getattr(owner, name)

    @wraps(original)
    def watched_call(*args: Any, **kwargs: Any) -> Any:
        look(*args, **kwargs)
        return original(*args, **kwargs)

    setattr(owner, name, watched_call)


def _after(owner: type, name: str, place: str) -> None:
    """Look at what each call of a method returns."""
    original = getattr(owner, name)

    @wraps(original)
    def watched_call(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        for part in result:
            if part:
                _look(place, part)
        return result

    setattr(owner, name, watched_call)


def _written(path: Path, *_: Any, **__: Any) -> None:
    """Remember a file that was not written by the product; two frames up is who writes."""
    writer = sys._getframe(2).f_globals.get("__name__", "")
    if writer.partition(".")[0] not in PRODUCT:
        _given.add(path)


def _started(_: Any, args: Any, *__: Any, **___: Any) -> None:
    """Look at the arguments of a process; the tests' own programs may be told anything."""
    _look("argv", args)


def _raised(_: Any, message: str, **facts: Any) -> None:
    _look("error", (message, facts))


def pytest_configure() -> None:
    """Watch what cannot be looked at afterwards."""
    _after(pytest.CaptureFixture, "readouterr", "output")
    _after(subprocess.Popen, "communicate", "output of a process")
    _before(structlog.testing.LogCapture, "__call__", lambda *args: _look("log", args[2:]))
    _before(subprocess.Popen, "__init__", _started)
    _before(PlugwaveError, "__init__", _raised)
    for name in ("write_text", "write_bytes"):
        _before(Path, name, _written)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Look at what the test left, once all of its fixtures are gone."""
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    yield
    leaks = [*_found]
    for when, stream, text in item._report_sections:
        leak = leak_in(text)
        if leak:
            leaks.append(f"{stream} during {when}: {leak}")
    if folder is not None and folder.is_dir():
        leaks += leaks_in_folder(folder, _given)
    if nextitem is None and (server := sys.modules.get("tests.postgres.server")):
        leaks += asyncio.run(server.leaks_left())
    for kept in (_found, _given, watched):
        kept.clear()
    if leaks:
        pytest.fail("planted secrets were seen:\n" + "\n".join(leaks), pytrace=False)
