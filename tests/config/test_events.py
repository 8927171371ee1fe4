"""Log events: one registered name for each fact, used by the whole source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.events import CONTEXT_FIELDS, EVENTS, JOB_RESULT_KEYS, LogEvent

SOURCE = Path(__file__).parents[2]
PACKAGES = ("config", "jobs", "worker")
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}

DOCUMENTED_JOB_RESULT = """
    ts level event=job.result job idempotency_key source region project_id pool_name plugin
    version_from version_to outcome cause cause_class error_code http_status cloud_request_id
    phase reason attempts calls throttled wait_s run_s inputs_changed rollout wave worker labels
"""

Logged = tuple[ast.Call, ast.expr | None]
"""A call that logs, and what it passes as the event's name."""


def named_of(call: ast.Call) -> tuple[str, str]:
    """Return (what is called on, what is called) for ``a.b(…)`` and ``x.a.b(…)``, else blanks."""
    if not isinstance(call.func, ast.Attribute):
        return "", ""
    owner = call.func.value
    name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
    return name, call.func.attr


def logger_calls(tree: ast.Module) -> Iterator[Logged]:
    """Yield what logs: ``log.info(…)``, ``self._log.warning(…)``.

    Where a function hands its own parameter on as the name, its callers in the module count.
    """
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        parameters = [one.arg for one in function.args.args if one.arg != "self"]
        for call, name in direct_calls(function):
            if isinstance(name, ast.Name) and name.id in parameters:
                place = parameters.index(name.id)
                callers = [one for one in calls if function.name in named_of(one)]
                yield from ((call, caller.args[place]) for caller in callers)
            else:
                yield call, name
    for statement in tree.body:
        if isinstance(statement, ast.Expr):
            yield from direct_calls(statement)


def direct_calls(tree: ast.AST) -> Iterator[Logged]:
    """Yield the logging calls inside *tree* with what they pass as the name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            owner, method = named_of(node)
            if owner.strip("_") in {"log", "logger"} and method in LEVELS | {"log"}:
                place = node.args[1:] if method == "log" else node.args
                yield node, place[0] if place else None


def offences(source: str) -> list[str]:
    """Return what is wrong with the log calls in *source*, one line each."""
    found = []
    for call, passed in logger_calls(ast.parse(source)):
        name = passed.value if isinstance(passed, ast.Constant) else None
        event = EVENTS.get(str(name))
        if event is None:
            found.append(f"line {call.lineno}: {name!r} is not registered in config.events")
            continue
        level = named_of(call)[1]
        if level != "log" and level.replace("exception", "error") not in event.levels:
            found.append(f"line {call.lineno}: {name!r} is not a {level}")
        given = {one.arg for one in call.keywords if one.arg is not None} - {"exc_info"}
        strange = sorted(given - set(event.fields) - set(CONTEXT_FIELDS))
        if strange:
            found.append(f"line {call.lineno}: {name!r} has unregistered fields {strange}")
    return found


@pytest.mark.parametrize(
    "path",
    [path for package in PACKAGES for path in sorted((SOURCE / package).rglob("*.py"))],
    ids=lambda path: str(path.relative_to(SOURCE)),
)
def test_every_logged_event_is_registered(path: Path) -> None:
    """Nobody finds an event in the log that is not in the documentation."""
    assert offences(path.read_text()) == []


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ('log.info("job.unheard_of")', True),
        ('self._log.warning("job.unheard_of")', True),
        ('log.info(f"job.{x}")', True),
        ("log.info(name)", True),
        ("log.info()", True),
        ('log.debug("job.lease_lost")', True),
        ('log.log(20, "nothing.such")', True),
        ('log.info("job.sent", colour=1)', True),
        ('def say(self, event):\n log.info(event)\ndef f(self):\n self.say("no.such")', True),
        ('def say(self, event):\n log.info(event)\ndef f(self):\n self.say("job.sent")', False),
        ('log.info("job.sent", attempt=1, status=200)', False),
        ('log.exception("job.crashed")', False),
        ('log.log(level, "job.result")', False),
        ("math.log(2)", False),
        ('print.info("x")', False),
    ],
)
def test_a_wrong_name_is_noticed(source: str, wrong: bool) -> None:  # noqa: FBT001 - a table's column
    """The check above sees unknown, assembled and mislevelled names, and nothing else."""
    assert bool(offences(source)) is wrong


def test_job_result_has_exactly_the_documented_keys() -> None:
    """Other programs read ``job.result``; its keys are those of product.md 5.4, in that order."""
    documented = DOCUMENTED_JOB_RESULT.replace("=job.result", "").split()

    assert list(JOB_RESULT_KEYS) == documented
    assert EVENTS["job.result"].fields == JOB_RESULT_KEYS[3:]


@pytest.mark.parametrize("event", EVENTS.values(), ids=lambda event: event.name)
def test_every_event_is_described(event: LogEvent) -> None:
    """Each event is ``noun.fact`` in lower case, has a level and a sentence for the page."""
    assert re.fullmatch(r"[a-z]+(\.[a-z]+(_[a-z]+)*)", event.name)
    assert set(event.levels) <= LEVELS - {"exception"}
    assert event.levels
    assert event.meaning.endswith(".")
    assert len(set(event.fields)) == len(event.fields)


def test_the_events_of_the_documentation_are_there() -> None:
    """What the documentation promises is registered."""
    promised = """
        worker.started worker.draining worker.drained worker.killed work.progress job.enqueued
        job.waiting job.started job.sent job.result job.retry_scheduled job.lease_lost
        job.recovered cloud.request cloud.throttled cloud.unreachable breaker.opened
        breaker.closed store.migrated store.trouble config.loaded auth.denied intake.finished
        simulator.started simulator.stopped plugin.external_change plugin.unknown_phase
        library.warning
    """

    assert set(promised.split()) <= set(EVENTS)
