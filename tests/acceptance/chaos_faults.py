"""What the chaos cloud does wrong, as a table, and who is hit.

A fault is three independent things: whether and when the request takes effect, how it is
answered, and where the server pauses.  The promise behind every row: an effect comes at
the latest `LATE_MAX_S` after its answer was lost, so a worker whose settle time is longer
may trust a read after it.

The choice hangs on (seed, method, path, how many requests that path has had), so the same
seed hits the same requests of a pool whatever the order between pools.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

LATE_MAX_S: Final = 2.5
"""Latest effect after an answer that was lost at once."""

PAUSE_S: Final = 3.0
"""Length of a pause; longer than the worker's request timeout."""

STALE_MAX_S: Final = 0.8
"""Age of the oldest picture a stale read shows; with effects up to 3 s late, 4 s are safe."""

UNDONE_PER_PLUGIN: Final = 2
"""A plug-in loses at most so many sends without effect, so that three rounds always suffice."""


class Effect(StrEnum):
    """Whether a send changes anything."""

    NONE = "none"
    NOW = "now"
    LATE = "late"  # after the answer, at most LATE_MAX_S


class Form(StrEnum):
    """How the request is answered."""

    PLAIN = "plain"
    RESET = "reset"
    TRUNCATED = "truncated"
    EMPTY = "empty"
    HTML = "html"
    WRONG_TYPE = "wrong-type"
    ERROR_500 = "500"
    ERROR_504 = "504"
    HTML_502 = "502"
    THROTTLED = "429"
    THROTTLED_HTML = "429-html"
    STALE = "stale"


class Pause(StrEnum):
    """Where the server stops for a while."""

    NOWHERE = "nowhere"
    BEFORE = "before"  # before the effect
    AFTER = "after"  # between the effect and the answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way to go wrong; *weight* is its share among the faults of its method."""

    name: str
    form: Form
    effect: Effect = Effect.NOW
    pause: Pause = Pause.NOWHERE
    weight: int = 1

    @property
    def is_throttle(self) -> bool:
        """Whether it is a 429, of which there is a budget: each slows a worker down for long."""
        return self.form in {Form.THROTTLED, Form.THROTTLED_HTML}


NO_FAULT: Final = Fault(name="none", form=Form.PLAIN)


def _f(
    name: str,
    form: Form,
    effect: Effect = Effect.NOW,
    weight: int = 1,
    pause: Pause = Pause.NOWHERE,
) -> Fault:
    return Fault(name=name, form=form, effect=effect, pause=pause, weight=weight)


SEND_FAULTS: Final = (
    _f("reset-undone", Form.RESET, Effect.NONE, 3),
    _f("reset-done", Form.RESET, Effect.NOW, 3),
    _f("reset-late", Form.RESET, Effect.LATE, 4),
    _f("500-undone", Form.ERROR_500, Effect.NONE),
    _f("500-done", Form.ERROR_500, Effect.NOW, 2),
    _f("500-late", Form.ERROR_500, Effect.LATE),
    _f("504-undone", Form.ERROR_504, Effect.NONE),
    _f("504-done", Form.ERROR_504, Effect.NOW, 2),
    _f("504-late", Form.ERROR_504, Effect.LATE, 2),
    _f("502-undone", Form.HTML_502, Effect.NONE),
    _f("truncated-undone", Form.TRUNCATED, Effect.NONE),
    _f("truncated-done", Form.TRUNCATED, Effect.NOW, 2),
    _f("truncated-late", Form.TRUNCATED, Effect.LATE),
    _f("empty-done", Form.EMPTY, Effect.NOW, 2),
    _f("html-undone", Form.HTML, Effect.NONE),
    _f("html-done", Form.HTML, Effect.NOW),
    _f("wrong-type-undone", Form.WRONG_TYPE, Effect.NONE),
    _f("wrong-type-done", Form.WRONG_TYPE, Effect.NOW, 2),
    _f("pause-then-effect", Form.PLAIN, Effect.NOW, 3, Pause.BEFORE),
    _f("effect-then-pause", Form.PLAIN, Effect.NOW, 3, Pause.AFTER),
    _f("429", Form.THROTTLED, Effect.NONE, 3),
    _f("429-html", Form.THROTTLED_HTML, Effect.NONE),
)
"""What may happen to a POST or PATCH.  An empty success always took effect: the contract
lets a client accept it, and then nothing but the effect could ever settle the job."""

READ_FAULTS: Final = (
    _f("read-500", Form.ERROR_500, weight=2),
    _f("read-504", Form.ERROR_504),
    _f("read-502", Form.HTML_502),
    _f("read-reset", Form.RESET, weight=3),
    _f("read-truncated", Form.TRUNCATED, weight=2),
    _f("read-empty", Form.EMPTY),
    _f("read-html", Form.HTML),
    _f("read-wrong-type", Form.WRONG_TYPE, weight=3),
    _f("read-stale", Form.STALE, weight=4),
    _f("read-pause", Form.PLAIN, weight=1, pause=Pause.AFTER),
    _f("read-429", Form.THROTTLED),
)
"""What may happen to a GET."""

BY_NAME: Final = {fault.name: fault for fault in (NO_FAULT, *SEND_FAULTS, *READ_FAULTS)}


@dataclass(slots=True)
class FaultPlan:
    """Says for each request what goes wrong with it.

    Attributes:
        seed: What the choices hang on.
        rate: Share of the requests that are hit, 0 to 1.
        throttles: How many 429 may be given out over the whole run.
        only: Names of the faults to choose from; empty means all.
        undone: How many sends of one plug-in may be lost without effect.
    """

    seed: int
    rate: float
    throttles: int = 2
    only: frozenset[str] = frozenset()
    undone: int = UNDONE_PER_PLUGIN
    _seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    _undone: Counter[str] = field(default_factory=Counter)

    def choose(self, method: str, path: str, target: str | None) -> tuple[Fault, random.Random]:
        """Return the fault for the next request of that method and path, with its dice.

        Args:
            method: GET, POST or PATCH.
            path: As requested.
            target: What a send wants to change; None for reads.
        """
        self._seen[method, path] += 1
        dice = random.Random(f"{self.seed} {method} {path} {self._seen[method, path]}")
        if dice.random() >= self.rate:
            return NO_FAULT, dice
        table = READ_FAULTS if method == "GET" else SEND_FAULTS
        chosen = [fault for fault in table if not self.only or fault.name in self.only]
        if not chosen:
            return NO_FAULT, dice
        fault = dice.choices(chosen, [fault.weight for fault in chosen])[0]
        return self._allowed(fault, target), dice

    def _allowed(self, fault: Fault, target: str | None) -> Fault:
        if fault.is_throttle:
            if self.throttles <= 0:
                return NO_FAULT
            self.throttles -= 1
            return fault
        if target is not None and fault.effect is Effect.NONE:
            if self._undone[target] >= self.undone:
                return NO_FAULT
            self._undone[target] += 1
        return fault


def lateness(dice: random.Random, late_max_s: float) -> float:
    """Return after how many seconds a late effect comes; every other one near the maximum.

    Too short a settle time looks right on most lags, so half of them are set near the edge
    on purpose.
    """
    if dice.random() < 0.5:
        return late_max_s * dice.uniform(0.8, 1.0)
    return late_max_s * dice.uniform(0.02, 0.8)
