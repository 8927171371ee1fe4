"""What is known about a run: the cloud's record, the workers' log, and what was queued.

Only facts and ways to look at them; `tests.acceptance.checker` judges.

Instants are monotonic seconds of the cloud's machine; log times are moved onto that scale
by the offset in the record's first line.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

Line = Mapping[str, Any]
Place = tuple[str, str]  # project, pool

REFUSALS: Final = frozenset({400, 401, 403, 404, 409, 413, 415, 422})
"""Complete refusals; with a documented 429 they allow a repeat without a late read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One accepted job and what must become of its plug-in; inputs as digests."""

    key: str
    project: str
    pool: str
    plugin: str
    version: str
    inputs: str
    changes: bool
    """Whether the plug-in differs from that at the start."""

    @property
    def place(self) -> Place:
        """Where it happens."""
        return self.project, self.pool

    def __str__(self) -> str:
        return f"{self.key} ({self.pool} {self.plugin})"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that is known about a run.

    Attributes:
        record: The cloud's lines in order.
        log: The workers' parsed log lines, all processes together.
        expected: The jobs whose intake was answered.
        limit: Requests allowed in any window.
        settle_s: The workers' settle time.
        kills: How many workers were killed.
        interruptions: How many signals of any kind workers got; each may leave an attempt that
            was intended and never sent.
        other: Lines between the log lines that are no JSON objects.
        secrets: Texts that may be nowhere in *said*.
        said: Everything the product printed.
    """

    record: Sequence[Line]
    log: Sequence[Line]
    expected: Sequence[Expected]
    limit: int
    settle_s: float
    window_s: float = 1.0
    kills: int = 0
    interruptions: int = 0
    other: Sequence[str] = ()
    secrets: Sequence[str] = ()
    said: str = ""

    def of(self, kind: str) -> list[Line]:
        """Return the record's lines of one kind."""
        return [line for line in self.record if line["kind"] == kind]

    @cached_property
    def requests(self) -> Sequence[Line]:
        """The requests by arrival."""
        return sorted(self.of("request"), key=lambda line: float(line["received"]))

    @cached_property
    def sends(self) -> Mapping[Place, Sequence[Line]]:
        """The sends to each pool by arrival."""
        found = defaultdict(list)
        for line in self.requests:
            if line["method"] != "GET":
                found[place(line)].append(line)
        return found

    @cached_property
    def reads(self) -> Mapping[Place, Sequence[Line]]:
        """The reads of each pool that got a 200, by arrival."""
        found = defaultdict(list)
        for line in self.requests:
            answered = self.answers.get(line["request"])
            if line["method"] == "GET" and answered and answered["status"] == 200:
                found[place(line)].append(line)
        return found

    @cached_property
    def changes(self) -> Mapping[tuple[str, str, str], Sequence[Line]]:
        """When each plug-in of each pool began to change and had settled, in the record's order."""
        found = defaultdict(list)
        for line in self.record:
            if line["kind"] in {"effect", "settled"}:
                found[*place(line), str(line["plugin"])].append(line)
        return found

    @cached_property
    def answers(self) -> Mapping[int, Line]:
        """How each request was answered."""
        return {line["request"]: line for line in self.of("answer")}

    @cached_property
    def effects(self) -> Mapping[int, Line]:
        """The effect of each request that had one."""
        return {line["request"]: line for line in self.of("effect")}

    @cached_property
    def settled(self) -> Mapping[int, Line]:
        """When the operation of each request ended."""
        return {line["request"]: line for line in self.of("settled")}

    @cached_property
    def results(self) -> Sequence[Line]:
        """The `job.result` lines."""
        return [line for line in self.log if line.get("event") == "job.result"]

    def refused(self, send: Line) -> bool:
        """Whether the send was refused completely, by an answer that can be trusted."""
        answered = self.answers.get(send["request"])
        if answered is None or answered["form"] not in {"plain", "429"}:
            return False
        return answered["status"] in REFUSALS or answered["status"] == 429

    def at(self, result: Line) -> float:
        """Return when a log line was written, in the record's seconds."""
        wall = datetime.fromisoformat(str(result["ts"])).timestamp()
        return wall - float(self.of("start")[0]["wall"])


def place(line: Line) -> Place:
    """Return the pool a line is about."""
    return str(line.get("project", "")), str(line.get("pool", ""))


def parse_lines(paths: Iterable[Path]) -> tuple[list[Line], list[str]]:
    """Return the JSON objects in the files, and the other lines; blank ones are skipped."""
    parsed: list[Line] = []
    other: list[str] = []
    for path in paths:
        for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                line = json.loads(text) if text.strip() else None
            except ValueError:
                line = text
            if isinstance(line, dict):
                parsed.append(line)
            elif line is not None:
                other.append(text)
    return parsed, other


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a run did, counted; times in seconds."""

    requests: int
    sends: int
    effects: int
    faults: int
    throttled: int
    most_in_a_window: int
    most_in_an_aligned_second: int
    busy_s: float
    by_fault: Mapping[str, int] = field(default_factory=dict)


def figures(run: Evidence) -> Figures:
    """Count what happened."""
    times = [float(line["received"]) for line in run.requests]
    most, first = 0, 0
    for last, at in enumerate(times):
        while at - times[first] >= run.window_s:
            first += 1
        most = max(most, last - first + 1)
    hit = Counter(str(line["fault"]) for line in run.requests if line["fault"] != "none")
    return Figures(
        requests=len(times),
        sends=sum(len(sends) for sends in run.sends.values()),
        effects=len(run.effects),
        faults=hit.total(),
        throttled=sum(1 for line in run.answers.values() if line["status"] == 429),
        most_in_a_window=most,
        most_in_an_aligned_second=max(Counter(int(at) for at in times).values(), default=0),
        busy_s=times[-1] - times[0] if times else 0.0,
        by_fault=dict(hit),
    )
