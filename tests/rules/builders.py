"""Jobs in a worker's hands, reads and answers, so that a rule's test shows only what matters."""

import random
from collections.abc import Mapping
from typing import Any

from jobs.clock import seconds_to_us
from jobs.decide import Answered, Rules
from jobs.model import InputsBase, Job, PluginSeen, PoolRead, Progress
from jobs.outcomes import Answer, Outcome
from jobs.states import JobState
from tests.builders import NOON_US, a_job, a_request

PLUGIN = "node-local-dns"
WANTED = "2.0"
OLD = "1.0"
CUSTOM = {"custom": {"ndots": "5"}}
"""The inputs a job asks for in these tests."""


def after(seconds: float) -> int:
    """Return the instant that many seconds after noon."""
    return NOON_US + seconds_to_us(seconds)


def rules(**changed: Any) -> Rules:
    """Return the usual patience with seeded jitter."""
    return Rules(rng=random.Random(7), **changed)


def seen(phase: str | None = "Running", version: str | None = OLD, **more: Any) -> PluginSeen:
    """Return the plug-in as a read shows it, with no inputs unless they are given."""
    facts: dict[str, Any] = {"inputs": {}, "created_at": "2025-03-17T12:29:18Z", **more}
    return PluginSeen(name=PLUGIN, version=version, phase=phase, **facts)


def read(plugin: PluginSeen | None, at: float = 0.0) -> PoolRead:
    """Return a read asked *at* seconds after noon that shows the plug-in, or its absence."""
    plugins = {} if plugin is None else {plugin.name: plugin}
    return PoolRead(asked_us=after(at), plugins=plugins)


def answer(outcome: Outcome, **more: Any) -> Answer:
    """Return how one request ended."""
    return Answer(outcome=outcome, sent=True, **more)


def answered(outcome: Outcome, sent: float | None = None, **more: Any) -> Answered:
    """Return how our own send ended; *sent* is when its headers left, in seconds after noon."""
    sent_us = None if sent is None else after(sent)
    return Answered(answer=answer(outcome, **more), sent_us=sent_us)


def in_hand(
    state: JobState,
    *,
    asks: Mapping[str, Any] | None = None,
    asks_version: str | None = WANTED,
    base: InputsBase = InputsBase.CURRENT,
    deadline: float | None = 2700.0,
    cancel_asked: bool = False,
    **progress: Any,
) -> Job:
    """Return a job with *progress* that asks for inputs and a version; *deadline* after noon."""
    return a_job(
        state,
        request=a_request(plugin=PLUGIN, version=asks_version, inputs=asks, base=base),
        started_us=NOON_US,
        deadline_us=None if deadline is None else after(deadline),
        cancel_asked=cancel_asked,
        progress=Progress(**progress),
    )


def checking(**facts: Any) -> Job:
    """Return a job that reads before it writes."""
    return in_hand(JobState.CHECKING, **facts)


SENT: Mapping[str, Any] = {"version": WANTED, "checked": True, "before": seen(), "sends": 1}
"""What a job knows that has sent once, after a read that showed OLD."""


def sending(**facts: Any) -> Job:
    """Return a job whose intent was committed at noon, for a send within two seconds."""
    known = {**SENT, "sent_us": after(2), "not_before_us": after(92)}
    return in_hand(JobState.SENDING, **known | facts)


def unknown(**facts: Any) -> Job:
    """Return a job whose answer was lost; reads prove something from 90 s after noon on."""
    lost = Outcome.SERVER_ERROR.value
    known = {**SENT, "sent_us": after(0), "not_before_us": after(90), "cause": lost}
    return in_hand(JobState.UNKNOWN, **known | facts)


def watching(**facts: Any) -> Job:
    """Return a job whose change from OLD was accepted at noon."""
    known = {**SENT, "accepted_us": after(0), "not_before_us": after(92)}
    return in_hand(JobState.WATCHING, **known | facts)
