"""What a receiver gets: everything once it is there, in order, whoever dies in between."""

import base64
import json
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio.lowlevel
import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from jobs.clock import SystemClock
from jobs.errors import ConfigError
from jobs.model import JobId, Progress
from jobs.outbox.profile import SinkProfile, WebhookPlace
from jobs.outbox.turns import Tried
from jobs.states import JobEvent
from jobs.store.protocol import Change, Store, WorkerInfo
from jobs.store.sqlite import open_sqlite
from tests.builders import a_request
from tests.fakes import FakeClock
from tests.planted import ACCESS_CODE, CREDENTIAL_MARK
from worker.sinks.delivering import Delivering
from worker.sinks.places import FileReceiver
from worker.sinks.receiving import Receiver
from worker.sinks.webhook import WebhookReceiver

SECRET = "whsec_" + base64.b64encode(f"{CREDENTIAL_MARK} and 24 bytes more".encode()).decode()
OLD_SECRET = "whsec_" + base64.b64encode(f"{CREDENTIAL_MARK} of last year, old".encode()).decode()


class DiedError(Exception):
    """The process was killed here."""


class Box:
    """A receiver that keeps what it got, and may fail."""

    place = "box"

    def __init__(self) -> None:
        self.got: list[tuple[str, list[str]]] = []
        self.answers: list[Tried] = []
        self.dies_after = False

    async def open(self) -> None:
        """Nothing to make ready."""

    async def send(self, message: str, events: Sequence[Mapping[str, Any]]) -> Tried:
        """Keep them, unless it is told to fail."""
        tried = self.answers.pop(0) if self.answers else Tried(ok=True, outcome="delivered")
        if tried.ok:
            self.got.append((message, [str(event["subject"]) for event in events]))
        if self.dies_after:
            raise DiedError
        return tried

    async def close(self) -> None:
        """Nothing to let go."""

    @property
    def subjects(self) -> list[str]:
        """Return all jobs that were told, in order, each message once."""
        return [subject for _, subjects in dict(self.got).items() for subject in subjects]


@dataclass
class World:
    """A store with jobs that end, and its clock."""

    store: Store
    clock: FakeClock
    ended: int = field(default=0)

    async def end(self, count: int, **request: Any) -> None:
        """Let that many jobs come and end."""
        first = self.ended
        requests = [a_request(f"pool-{first + n}", **request) for n in range(count)]
        await self.store.enqueue(requests)
        worker = await self.store.register(WorkerInfo(name="w", host="h", pid=1), lease_s=60)
        for _, lease in await self.store.claim(worker, limit=count, deadline_s=60):
            change = Change(lease=lease, event=JobEvent.ALREADY, progress=Progress())
            await self.store.record(change)
        self.ended += count

    def sink(self, receiver: Receiver, owner: str = "a", **spec: Any) -> Delivering:
        """Return a sink; a batch does not wait for more."""
        profile = SinkProfile.model_validate(
            {
                "apiVersion": "plugwave/v1",
                "kind": "Sink",
                "metadata": {"name": "tickets"},
                "spec": {"to": {"file": {"path": "x"}}, "batchWait": "0s", **spec},
            }
        )
        dice = random.Random(1)
        return Delivering(profile, receiver, self.store, self.clock, dice, owner=owner)

    async def begin(self) -> None:
        """Let the sink take its place: what comes from now on is told."""
        await self.sink(Box()).run(until_told=True)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A store on disk."""
    clock = FakeClock()
    store = await open_sqlite(tmp_path / "state.db", clock)
    made = World(store, clock)
    await made.begin()
    yield made
    await store.close()


async def test_every_end_is_told_in_order(world: World) -> None:
    """In batches, each with an id of its own."""
    await world.end(25)
    box = Box()

    row = await world.sink(box, batch=10).run(until_told=True)

    assert [len(events) for _, events in box.got] == [10, 10, 5]
    assert len({message for message, _ in box.got}) == 3
    assert box.subjects == [f"job-{number}" for number in range(1, 26)]
    assert row.delivered == 25


async def test_a_sink_that_comes_back_goes_on_where_it_was(world: World) -> None:
    """Nothing is told twice and nothing left out."""
    first, second = Box(), Box()
    await world.end(3)
    await world.sink(first).run(until_told=True)
    await world.end(2)

    await world.sink(second, owner="a").run(until_told=True)

    assert first.subjects + second.subjects == [f"job-{n}" for n in range(1, 6)]


async def test_killed_after_the_receiver_had_it_the_same_message_comes_again(world: World) -> None:
    """Same id, same events, also when more have ended since: the receiver can drop it."""
    await world.end(3)
    box = Box()
    box.dies_after = True
    with pytest.raises(DiedError):
        await world.sink(box).run(until_told=True)
    box.dies_after = False
    await world.end(4)
    world.clock.advance(61)

    await world.sink(box, owner="another").run(until_told=True)

    assert box.got[0] == box.got[1]
    assert box.subjects == [f"job-{n}" for n in range(1, 8)]


async def test_while_one_has_the_turn_another_delivers_nothing(world: World) -> None:
    """Two processes of one sink do not tell everything twice."""
    await world.end(1)
    mine, other = Box(), Box()
    await world.sink(mine).run(until_told=True)
    await world.end(1)

    await world.sink(other, owner="b").run(until_told=True)

    assert (len(mine.got), len(other.got)) == (1, 0)


async def test_a_failed_try_is_made_again_when_it_is_due(world: World) -> None:
    """Not before, and nothing is passed over meanwhile."""
    await world.end(2)
    box = Box()
    box.answers = [Tried(ok=False, outcome="answered 500")]
    row = await world.sink(box).run(until_told=True)
    assert row.next_us > 0
    await world.sink(box).run(until_told=True)
    assert box.got == []
    world.clock.advance(7)

    await world.sink(box).run(until_told=True)

    assert box.subjects == ["job-1", "job-2"]


async def test_only_what_is_asked_for_is_told(world: World) -> None:
    """By source, plug-in, outcome and kind of event."""
    await world.end(2, source="tickets")
    await world.end(2, source="cli")
    box = Box()

    await world.sink(box, which={"sources": ["tickets"]}).run(until_told=True)

    assert box.subjects == ["job-1", "job-2"]
    queued = Box()
    await world.store.sinks.update("tickets", lambda row, _now: (None, row))
    await world.sink(queued, events=["queued", "started"]).run(until_told=True)
    assert queued.got == []


async def test_a_batch_waits_for_more_but_not_for_ever(world: World) -> None:
    """A bad night is a few messages; a single end is told within the wait."""
    await world.end(1)
    box = Box()
    sink = world.sink(box, batchWait="10s")
    await sink.step()
    assert box.got == []
    world.clock.advance(11)

    await sink.step()

    assert box.subjects == ["job-1"]


async def test_an_event_is_a_cloud_event_without_inputs(world: World, tmp_path: Path) -> None:
    """The keys of `job.result`, and nothing that opens anything."""
    await world.end(1)
    path = tmp_path / "told.jsonl"

    await world.sink(FileReceiver(path)).run(until_told=True)

    [event] = [json.loads(line) for line in path.read_text().splitlines()]
    assert event["specversion"] == "1.0"
    assert event["type"] == "io.plugwave.job.finished.v1"
    assert event["subject"] == "job-1"
    assert event["data"]["outcome"] == "unchanged"
    assert ACCESS_CODE not in path.read_text()


@dataclass
class Hook:
    """A real receiver by HTTP."""

    answers: list[web.Response] = field(default_factory=list)
    calls: list[tuple[Mapping[str, str], str]] = field(default_factory=list)
    slow: bool = False
    url: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        """Keep the call and answer."""
        self.calls.append((dict(request.headers), await request.text()))
        if self.slow:
            await anyio.sleep_forever()
        return self.answers.pop(0) if self.answers else web.Response(status=204)


@asynccontextmanager
async def listening() -> AsyncIterator[Hook]:
    """Run one."""
    hook = Hook()
    app = web.Application()
    app.router.add_post("/hook", hook.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    hook.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield hook
    finally:
        await runner.cleanup()


def webhook(url: str, *secrets: str, private: bool = True) -> WebhookReceiver:
    """Return a receiver for that address, signed with *secrets*."""
    environ = {f"SECRET{n}": secret for n, secret in enumerate(secrets or (SECRET,))}
    place = WebhookPlace(url=url, secrets=[f"env:{name}" for name in environ], private=private)
    return WebhookReceiver(place, SystemClock(), batched=True, environ=environ)


async def tried(hook: Hook, *secrets: str) -> Tried:
    """Send one message and return what came of it."""
    receiver = webhook(hook.url, *secrets)
    await receiver.open()
    try:
        return await receiver.send("msg_1", [{"id": "1"}])
    finally:
        await receiver.close()


async def test_the_public_library_verifies_what_we_sign() -> None:
    """With the new secret and with the old one, while it is changed; not with another."""
    async with listening() as hook:
        assert (await tried(hook, SECRET, OLD_SECRET)).ok
    headers, body = hook.calls[0]

    assert Webhook(SECRET).verify(body, dict(headers)) == [{"id": "1"}]
    assert Webhook(OLD_SECRET).verify(body, dict(headers)) == [{"id": "1"}]
    other = "whsec_" + base64.b64encode(b"x" * 32).decode()
    with pytest.raises(WebhookVerificationError):
        Webhook(other).verify(body, dict(headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.replace("1", "2"), dict(headers))


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (200, {}, Tried(ok=True, outcome="delivered")),
        (301, {"Location": "/hook"}, Tried(ok=False, outcome="answered 301")),
        (410, {}, Tried(ok=False, outcome="answered 410", gone=True)),
        (429, {"Retry-After": "7"}, Tried(ok=False, outcome="answered 429", retry_after_s=7)),
        (503, {"Retry-After": "soon"}, Tried(ok=False, outcome="answered 503")),
        (500, {}, Tried(ok=False, outcome="answered 500")),
    ],
)
async def test_what_an_answer_means(
    status: int, headers: Mapping[str, str], expected: Tried
) -> None:
    """Only 2xx is success, no redirect is followed, and a receiver may ask for a pause."""
    async with listening() as hook:
        hook.answers = [web.Response(status=status, headers=headers)]

        assert await tried(hook) == expected

    assert len(hook.calls) == 1


async def test_a_receiver_that_is_down_or_slow_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No answer is no success, and a call ends."""
    monkeypatch.setattr("worker.sinks.webhook.TIMEOUT_S", 0.2)
    async with listening() as hook:
        hook.slow = True
        assert (await tried(hook)).outcome == "no answer within 0.2 s"
    assert (await tried(hook)).outcome == "no connection"


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://tickets.example/", "https"),
        ("https://user:x@tickets.example/", "user"),
        ("https://tickets.example:8443/", "8443"),
        ("https://127.0.0.1/", "private"),
        ("https://[::1]/", "private"),
        ("https://metadata.internal/", "private"),
        ("https://tickets.example:x/", "read"),
    ],
)
def test_an_address_that_may_not_be_called_is_refused_at_the_start(url: str, word: str) -> None:
    """Before anything is sent, and without showing the address."""
    with pytest.raises(ConfigError, match=word):
        _refused(url)


def _refused(url: str) -> None:
    place = WebhookPlace(url="env:URL", secrets=["env:KEY"])
    WebhookReceiver(place, SystemClock(), batched=True, environ={"URL": url, "KEY": SECRET})


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "!!!"])
def test_a_secret_that_is_none_is_refused(secret: str) -> None:
    """It is named by its place."""
    place = WebhookPlace(url="https://tickets.example/", secrets=["env:KEY"])
    environ = {"KEY": secret}
    with pytest.raises(ConfigError, match="env:KEY"):
        WebhookReceiver(place, SystemClock(), batched=True, environ=environ)


async def test_a_job_that_was_removed_holds_nothing_up(world: World) -> None:
    """What cannot be told any more is passed."""
    await world.end(2)
    box = Box()
    sink = world.sink(box)
    original = world.store.job

    async def gone(job: JobId) -> Any:
        return None if job == JobId(1) else await original(job)

    world.store.job = gone  # type: ignore[method-assign]  # a store that has pruned it

    await sink.run(until_told=True)

    assert box.subjects == ["job-2"]
