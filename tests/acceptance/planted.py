"""A clean run told line by line, and the faults that are planted into it.

Each fault changes the clean story as one faulty worker would have; PLANTED says which check
must catch it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from tests.acceptance.checker import RESULT_KEYS
from tests.acceptance.evidence import Evidence, Expected

WALL: Final = 1_795_000_000.0
SETTLE_S: Final = 4.0
LIMIT: Final = 5


@dataclass
class Story:
    """Tells a run line by line, at instants in seconds."""

    record: list[dict[str, Any]] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    _next: int = 0

    def request(self, at: float, pool: str, method: str = "GET", **facts: Any) -> int:
        """Let a request arrive and return its number."""
        self._next += 1
        line = {"kind": "request", "request": self._next, "received": at, "method": method}
        line |= {"project": "p", "pool": pool, "path": "/", "fault": "none"}
        self.record.append(line | facts)
        return self._next

    def answer(self, number: int, at: float, status: int | None = 200, form: str = "plain") -> None:
        """Answer it."""
        line = {"kind": "answer", "request": number, "at": at, "status": status, "form": form}
        self.record.append(line)

    def read(self, at: float, pool: str, status: int | None = 200) -> int:
        """Let a read arrive and be answered."""
        number = self.request(at, pool)
        self.answer(number, at + 0.01, status)
        return number

    def send(
        self, at: float, pool: str, status: int | None = 200, form: str = "plain", **facts: Any
    ) -> int:
        """Let a send arrive and be answered."""
        told = {"plugin": "dns", "version": "2", "inputs": "sent"} | facts
        number = self.request(at, pool, "POST", **told)
        self.answer(number, at + 0.02, status, form)
        return number

    def effect(self, number: int, at: float, pool: str, ends: float = 1.0, **facts: Any) -> None:
        """Let a send take effect and settle *ends* seconds later."""
        told = {"request": number, "project": "p", "pool": pool, "plugin": "dns"}
        told |= {"version": "2", "inputs": "kept"} | facts
        self.record.append({"kind": "effect", "at": at, **told})
        self.record.append({"kind": "settled", "at": at + ends, "phase": "Running", **told})

    def result(self, at: float, key: str, pool: str, **facts: Any) -> None:
        """Let a worker write the result of a job."""
        when = datetime.fromtimestamp(WALL + at, tz=UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = dict.fromkeys(RESULT_KEYS)
        line |= {"event": "job.result", "ts": when, "idempotency_key": key, "outcome": "succeeded"}
        line |= {"project_id": "p", "pool_name": pool, "plugin": "dns", "attempts": 1}
        self.log.append(line | facts)

    def final(self, pool: str, **facts: Any) -> None:
        """Let the record end with a plug-in as wanted."""
        told = {"project": "p", "pool": pool, "plugin": "dns", "phase": "Running"}
        self.record.append({"kind": "final", **told, "version": "2", "inputs": "kept"} | facts)


def a_job(key: str, pool: str, **facts: Any) -> Expected:
    """Return what must become of a job."""
    told: dict[str, Any] = {"project": "p", "plugin": "dns", "version": "2", "inputs": "kept"}
    return Expected(key=key, pool=pool, **{**told, "changes": True, **facts})


def a_clean_run() -> Story:
    """Tell of five jobs: plain, first send lost, as wanted, and two plug-ins of one pool."""
    story = Story([{"kind": "start", "at": 0.0, "wall": WALL, "limit": LIMIT}])
    story.read(1.0, "plain")
    story.effect(story.send(1.1, "plain"), 1.11, "plain")
    story.read(2.3, "plain")
    story.result(2.32, "k1", "plain")
    story.read(3.0, "lost")
    story.send(3.1, "lost", None, "reset")
    story.read(7.2, "lost")
    story.effect(story.send(7.3, "lost"), 7.31, "lost")
    story.read(8.5, "lost")
    story.result(8.52, "k2", "lost", attempts=2)
    story.read(9.0, "same")
    story.result(9.02, "k3", "same", outcome="unchanged", attempts=0)
    story.send(10.0, "pair", 429, "429")
    story.effect(story.send(11.2, "pair"), 11.21, "pair")
    story.read(12.5, "pair")
    story.result(12.52, "k4", "pair")
    story.effect(story.send(12.6, "pair", plugin="npu"), 12.61, "pair", plugin="npu")
    story.read(13.8, "pair")
    story.result(13.82, "k5", "pair", plugin="npu")
    for pool in ("plain", "lost", "same", "pair"):
        story.final(pool)
    story.final("pair", plugin="npu")
    story.record.append({"kind": "end", "at": 20.0})
    return story


JOBS: Final = (
    a_job("k1", "plain"),
    a_job("k2", "lost"),
    a_job("k3", "same", changes=False),
    a_job("k4", "pair"),
    a_job("k5", "pair", plugin="npu"),
)


def evidence(story: Story, **facts: Any) -> Evidence:
    """Return the story as evidence."""
    told: Mapping[str, Any] = {"expected": JOBS, "limit": LIMIT, "settle_s": SETTLE_S} | facts
    return Evidence(record=story.record, log=story.log, **told)


def drop(lines: list[dict[str, Any]], **facts: Any) -> None:
    """Take the lines with these facts out."""
    lines[:] = [line for line in lines if not facts.items() <= line.items()]


def change(lines: list[dict[str, Any]], found: Mapping[str, Any], **facts: Any) -> None:
    """Change the lines with those facts; there must be some."""
    matching = [line for line in lines if found.items() <= line.items()]
    assert matching
    for line in matching:
        line.update(facts)


# --- One planted fault each: the name says what the worker did wrong. ---


def overlaps_on_a_plugin(story: Story) -> None:
    """Send again while the first change is going on."""
    story.effect(story.send(1.5, "plain"), 1.51, "plain")


def overlaps_on_a_pool(story: Story) -> None:
    """Send for the second plug-in before the first has settled."""
    change(story.record, {"received": 12.6}, received=11.9)


def sends_into_a_late_effect(story: Story) -> None:
    """Send again before a late effect has come, without effect."""
    change(story.record, {"kind": "effect", "pool": "plain"}, at=2.0)
    story.send(1.6, "plain", None, "reset")


def overlap_seen_by_the_cloud(story: Story) -> None:
    """The cloud itself recorded it."""
    line = {"kind": "violation", "name": "overlap", "at": 1.0, "request": 1, "detail": "plain"}
    story.record.append(line)


def applies_twice(story: Story) -> None:
    """Install once more, long after the first has settled."""
    story.read(7.0, "plain")
    story.effect(story.send(7.5, "plain"), 7.51, "plain")
    change(story.log, {"idempotency_key": "k1"}, attempts=2)


def changes_what_is_as_wanted(story: Story) -> None:
    """Send for a plug-in that was as wanted."""
    story.effect(story.send(9.01, "same"), 9.01, "same", 0.005)
    change(story.log, {"idempotency_key": "k3"}, attempts=1)


def changes_a_stranger(story: Story) -> None:
    """Change a plug-in nobody asked for."""
    story.effect(story.send(5.0, "stranger"), 5.01, "stranger")


def loses_a_job(story: Story) -> None:
    """Forget a job: no result."""
    drop(story.log, idempotency_key="k2")


def tells_twice(story: Story) -> None:
    """Write a result a second time, after a restart."""
    story.log.append(dict(story.log[0]))


def tells_of_a_ghost(story: Story) -> None:
    """Write a result of a job nobody queued."""
    story.result(15.0, "k99", "plain")


def asks_after_the_end(story: Story) -> None:
    """Read a pool after its job has ended."""
    story.read(15.0, "plain")


def succeeds_too_early(story: Story) -> None:
    """Call it succeeded while the cloud shows Updating."""
    change(story.record, {"kind": "settled", "pool": "plain"}, at=4.0)


def succeeds_without_a_change(story: Story) -> None:
    """Call it succeeded though nothing was changed."""
    drop(story.record, kind="effect", pool="plain")
    drop(story.record, kind="settled", pool="plain")


def succeeds_at_another_version(story: Story) -> None:
    """Call an old version the wanted one."""
    change(story.record, {"kind": "settled", "pool": "plain"}, version="1")


def fails_without_a_reason(story: Story) -> None:
    """Fail a job and not say why."""
    change(story.log, {"idempotency_key": "k1"}, outcome="failed")


def invents_an_outcome(story: Story) -> None:
    """Use a word that is no outcome."""
    change(story.log, {"idempotency_key": "k1"}, outcome="completed")


def calls_a_change_unchanged(story: Story) -> None:
    """Call a job unchanged that had something to do."""
    change(story.log, {"idempotency_key": "k1"}, outcome="unchanged")


def exceeds_the_limit(story: Story) -> None:
    """Send six requests in 0.999 s over the edge of two aligned seconds."""
    for step in range(LIMIT + 1):
        story.request(15.5 + step * 0.1998, "")


def exceeds_the_aligned_limit(story: Story) -> None:
    """Send six requests in one aligned second."""
    for step in range(LIMIT + 1):
        story.request(16.0 + step * 0.1, "")


def repeats_blindly(story: Story) -> None:
    """Send again after a lost answer without a read."""
    drop(story.record, received=7.2)


def repeats_after_an_early_read(story: Story) -> None:
    """Trust a read from before the settle time was over."""
    change(story.record, {"received": 7.2}, received=6.9)


def repeats_after_a_failed_read(story: Story) -> None:
    """Take a read error for the absence of the plug-in."""
    number = next(line["request"] for line in story.record if line.get("received") == 7.2)
    change(story.record, {"kind": "answer", "request": number}, status=500)


def repeats_a_500_at_once(story: Story) -> None:
    """Retry a 500 as if it had no effect."""
    change(story.record, {"kind": "answer", "form": "reset"}, status=500, form="500")
    change(story.record, {"received": 7.3}, received=3.6)


def trusts_a_429_of_a_stranger(story: Story) -> None:
    """Repeat without a read after a 429 that is not the gateway's."""
    change(story.record, {"kind": "answer", "form": "429"}, form="429-html")


def leaves_a_key_out(story: Story) -> None:
    """Write a result without all its keys."""
    del story.log[1]["wait_s"]


def hides_an_attempt(story: Story) -> None:
    """Tell of fewer attempts than arrived."""
    change(story.log, {"idempotency_key": "k2"}, attempts=1)


def invents_an_attempt(story: Story) -> None:
    """Tell of more attempts than arrived."""
    change(story.log, {"idempotency_key": "k1"}, attempts=2)


def crashes_on_a_job(story: Story) -> None:
    """Recover from a bug of its own."""
    story.log.append({"event": "job.crashed", "job": "job-1", "level": "error"})


def resets_the_inputs(story: Story) -> None:
    """Upgrade without the installed inputs."""
    change(story.record, {"kind": "final", "pool": "plain"}, inputs="defaults")


def ends_at_another_version(story: Story) -> None:
    """Leave a plug-in at its old version."""
    change(story.record, {"kind": "final", "pool": "lost"}, version="1")


def ends_in_between(story: Story) -> None:
    """Leave while a plug-in is being changed."""
    change(story.record, {"kind": "final", "pool": "lost"}, phase="Updating")


def never_installs(story: Story) -> None:
    """Leave a plug-in out."""
    drop(story.record, kind="final", pool="plain")


def gives_up(story: Story) -> None:
    """Leave a job unresolved though reads work."""
    change(story.log, {"idempotency_key": "k2"}, outcome="unresolved", cause="lost")


def tears_the_record(story: Story) -> None:
    """Lose the request that an effect belongs to: the record cannot be trusted."""
    drop(story.record, received=1.1)


def cuts_the_record(story: Story) -> None:
    """Lose the end of the record."""
    drop(story.record, kind="end")


PLANTED: Final[Mapping[Callable[[Story], None], str]] = {
    overlaps_on_a_plugin: "I1 no-overlap",
    overlaps_on_a_pool: "I1 no-overlap",
    sends_into_a_late_effect: "I1 no-overlap",
    overlap_seen_by_the_cloud: "I1 no-overlap",
    applies_twice: "I2 applied-once",
    changes_what_is_as_wanted: "I2 applied-once",
    changes_a_stranger: "I2 applied-once",
    loses_a_job: "I3 accepted-are-kept",
    tells_twice: "I4 one-result-each",
    tells_of_a_ghost: "I4 one-result-each",
    asks_after_the_end: "I4 quiet-after-the-end",
    succeeds_too_early: "I5 results-are-true",
    succeeds_without_a_change: "I5 results-are-true",
    succeeds_at_another_version: "I5 results-are-true",
    fails_without_a_reason: "I5 results-are-true",
    invents_an_outcome: "I5 results-are-true",
    calls_a_change_unchanged: "I5 results-are-true",
    exceeds_the_limit: "I6 limit-is-kept",
    exceeds_the_aligned_limit: "I6 limit-is-kept",
    repeats_blindly: "I8 no-blind-repeat",
    repeats_after_an_early_read: "I8 no-blind-repeat",
    repeats_after_a_failed_read: "I8 no-blind-repeat",
    repeats_a_500_at_once: "I8 no-blind-repeat",
    trusts_a_429_of_a_stranger: "I8 no-blind-repeat",
    leaves_a_key_out: "I12 results-explain",
    hides_an_attempt: "I12 results-explain",
    invents_an_attempt: "I12 results-explain",
    crashes_on_a_job: "I12 nothing-broke",
    resets_the_inputs: "all-as-wanted",
    ends_at_another_version: "all-as-wanted",
    ends_in_between: "all-as-wanted",
    never_installs: "all-as-wanted",
    gives_up: "all-good",
    tears_the_record: "record-is-whole",
    cuts_the_record: "record-is-whole",
}
