"""What the commands about rollouts share: which one is meant, who speaks, which wave."""

import getpass
import socket

from jobs.errors import NothingMatchedError
from jobs.rollouts.course import Course
from jobs.store.protocol import Store
from jobs.store.rollouts import RolloutRow, RolloutStore, Word


async def existing(store: RolloutStore, name: str) -> RolloutRow:
    """Return the rollout that is called so, or has that id.

    Raises:
        NothingMatchedError: If there is none.
    """
    row = await store.rollout(name)
    if row is None:
        raise NothingMatchedError(
            f"there is no rollout '{name}' in this store", do="list them: plugwave status"
        )
    return row


def my_word(reason: str | None) -> Word:
    """Return who runs this command, on which host, and why."""
    try:
        by = getpass.getuser()
    except (OSError, KeyError):  # a container may have no name for its user
        by = "somebody"
    return Word(by=by, why=reason, where=socket.gethostname())


def wave_number(course: Course, name: str) -> int:
    """Return the number of the wave that is called so, or is the n-th, counting from 1.

    Raises:
        NothingMatchedError: If there is none.
    """
    for wave in course.waves:
        if name in {wave.name, str(wave.n + 1)}:
            return wave.n
    known = ", ".join(wave.name for wave in course.waves)
    raise NothingMatchedError(f"there is no wave '{name}'", do=f"its waves are {known}")


async def someone_works(store: Store) -> bool:
    """Whether a worker is alive."""
    now_us = await store.now_us()
    return any(one.alive and one.lease_until_us > now_us for one in await store.workers())
