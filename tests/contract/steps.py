"""Steps that many promises begin with."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from jobs.model import Job, JobId, JobRequest, Lease, PluginSeen, Progress, WorkerId
from jobs.states import JobEvent, JobState, WaitReason
from jobs.store.protocol import Change, Store, WorkerInfo
from tests.builders import NOON_US, a_request
from tests.planted import ACCESS_CODE, INPUTS

ONE: Final = WorkerInfo(name="one", host="host-a", pid=11)
TWO: Final = WorkerInfo(name="two", host="host-b", pid=12)
LEASE_S: Final = 20.0
DEADLINE_S: Final = 2700.0
MINUTE_US: Final = 60_000_000

SENT: Final = Progress(
    version="1.6.36",
    inputs={"custom": {"ndots": "5", "accessCode": ACCESS_CODE}},
    checked=True,
    before=PluginSeen(name="node-local-dns", version="1.5.0", phase="Running", inputs=INPUTS),
    sends=1,
    sent_us=NOON_US + 2_000_000,
    not_before_us=NOON_US + 92_000_000,
    version_from="1.5.0",
    inputs_changed=("custom.ndots",),
    calls=2,
)
"""Where a job stands after its first intent."""

PATHS: Final[Mapping[JobState, Sequence[JobEvent]]] = MappingProxyType(
    {
        JobState.CHECKING: (),
        JobState.SENDING: (JobEvent.INTENDED,),
        JobState.UNKNOWN: (JobEvent.INTENDED, JobEvent.ANSWER_LOST),
        JobState.WATCHING: (JobEvent.INTENDED, JobEvent.ACCEPTED),
    }
)
"""The events that bring a claimed job into each state in which a worker has it in hand."""


async def a_worker(store: Store, info: WorkerInfo = ONE) -> WorkerId:
    """Register a worker."""
    return await store.register(info, lease_s=LEASE_S)


async def accept(store: Store, *requests: JobRequest) -> list[JobId]:
    """Enqueue the requests; without any, one that is as good as another."""
    answers = await store.enqueue(requests or [a_request()])
    return [answer.job for answer in answers]


async def claim(store: Store, worker: WorkerId, limit: int = 100) -> list[tuple[Job, Lease]]:
    """Claim with the usual deadline."""
    return list(await store.claim(worker, limit=limit, deadline_s=DEADLINE_S))


async def claimed(store: Store, worker: WorkerId, limit: int = 100) -> list[JobId]:
    """Claim and return only which jobs."""
    return [job.id for job, _ in await claim(store, worker, limit)]


async def bring(store: Store, worker: WorkerId, state: JobState) -> Lease:
    """Claim the one job that is ready and bring it into *state*."""
    [(_, lease)] = await claim(store, worker, 1)
    for event in PATHS[state]:
        await store.record(Change(lease=lease, event=event, progress=SENT))
    return lease


async def move(store: Store, lease: Lease, event: JobEvent, **more: Any) -> Job:
    """Record *event* with nothing else to say; a wait gets a minute and a reason."""
    facts: dict[str, Any] = {"progress": SENT, **more}
    return await store.record(Change(lease=lease, event=event, **facts))


async def wait(store: Store, lease: Lease, reason: WaitReason, run_at_us: int | None) -> Job:
    """Let a job that is CHECKING wait."""
    return await move(store, lease, JobEvent.HELD, reason=reason, run_at_us=run_at_us)


async def state_of(store: Store, job: JobId) -> JobState:
    """Return the job's state."""
    found = await store.job(job)
    assert found is not None
    return found.state


async def place_of(store: Store, job: JobId) -> tuple[JobState, WaitReason | None, int | None]:
    """Return the job's state, why it waits, and until when."""
    found = await store.job(job)
    assert found is not None
    return (found.state, found.reason, found.run_at_us)


async def story(store: Store, job: JobId) -> list[str]:
    """Return the names of the job's events in order."""
    return [event.event for event in await store.history(job)]


async def all_is_well(store: Store) -> None:
    """Assert that the store finds no damage in itself."""
    assert [finding for finding in await store.check() if not finding.ok] == []
