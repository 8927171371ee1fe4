"""`plugwave workers`: who is there, and whether anybody is alive."""

import anyio
import anyio.to_thread

from jobs.store.protocol import Store, WorkerInfo
from tests.builders import a_request
from tests.cli.running import A_WORKER, Cli


def test_a_worker_that_has_left_is_not_alive(cli: Cli) -> None:
    """Without a worker the command leaves with 6 and says what to do."""
    cli.add(a_request())

    ran = cli("workers")

    assert ran.code == 6
    assert "plugwave work" in ran.err


def test_a_living_worker_is_listed(cli: Cli) -> None:
    """Name, host and lease of a living worker are told, and the command leaves with 0."""

    async def while_it_lives(store: Store) -> None:
        elsewhere = WorkerInfo(name="w2", host="elsewhere", pid=2)
        await store.register(A_WORKER, lease_s=600)
        await store.register(elsewhere, lease_s=600)
        await anyio.to_thread.run_sync(look)

    seen = []

    def look() -> None:
        seen.append(cli("workers", "-o", "json"))
        seen.append(cli("workers", "--here", "-o", "name"))

    cli.with_store(while_it_lives)

    listed, here = seen
    assert listed.code == 0
    assert [row["worker"] for row in listed.document["workers"]] == ["w1", "w2"]
    assert here.code == 6  # neither host is this one
    assert here.out == ""
