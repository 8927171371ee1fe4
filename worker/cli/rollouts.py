"""What the commands about rollouts share: which one is meant, who speaks, which wave."""

import getpass
import socket

from jobs.store.rollouts import Word


def my_word(reason: str | None) -> Word:
    """Return who runs this command, on which host, and why."""
    try:
        by = getpass.getuser()
    except (OSError, KeyError):  # a container may have no name for its user
        by = "somebody"
    return Word(by=by, why=reason, where=socket.gethostname())
