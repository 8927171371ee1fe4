"""What the commands about rollouts share: which one is meant, who speaks, which wave."""

import getpass
import socket

from jobs.store.protocol import Store
from jobs.store.rollouts import Word


def my_word(reason: str | None) -> Word:
    """Return who runs this command, on which host, and why."""
    try:
        by = getpass.getuser()
    except (OSError, KeyError):  # a container may have no name for its user
        by = "somebody"
    return Word(by=by, why=reason, where=socket.gethostname())


async def someone_works(store: Store) -> bool:
    """Whether a worker is alive."""
    now_us = await store.now_us()
    return any(one.alive and one.lease_until_us > now_us for one in await store.workers())
