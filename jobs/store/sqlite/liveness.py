"""Prove that a worker is dead: each worker holds a file lock for the life of its process.

The kernel lets go of the lock when the process ends, however it ends; whoever can take
the lock has the proof.  Without the file, or where locks do not work, there is no proof
and the lease decides.
"""

import fcntl
import os
from pathlib import Path
from typing import final


def lock_folder(store: Path) -> Path:
    """Return the folder of the workers' lock files beside *store*."""
    return store.with_name(store.name + ".workers")


@final
class WorkerLocks:
    """The lock files of one store: those held by this store object, and a way to test others."""

    def __init__(self, store: Path) -> None:
        self._folder = lock_folder(store)
        self._held: dict[int, int] = {}

    def _path(self, worker: int) -> Path:
        return self._folder / f"{worker}.lock"

    def hold(self, worker: int) -> None:
        """Take *worker*'s lock until `release` or the end of the process.

        Where the file system has no locks, nothing is held and the lease alone speaks.
        """
        if worker in self._held:
            return  # the call that registers it is run again
        self._folder.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(self._path(worker), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            self._path(worker).unlink(missing_ok=True)
            return
        self._held[worker] = handle

    def release(self, worker: int) -> None:
        """Let go of *worker*'s lock, if this object holds it, without a word to the store."""
        handle = self._held.pop(worker, None)
        if handle is not None:
            os.close(handle)

    def release_all(self) -> None:
        """Let go of every lock this object holds."""
        for worker in list(self._held):
            self.release(worker)

    def has_gone(self, worker: int) -> bool:
        """Whether it is proven that *worker*'s process has ended."""
        try:
            # A second handle conflicts with the holder's even inside one process.
            handle = os.open(self._path(worker), os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        else:
            return True
        finally:
            os.close(handle)

    def forget(self, worker: int) -> None:
        """Remove the lock file of a worker that was declared dead."""
        self.release(worker)
        try:
            self._path(worker).unlink(missing_ok=True)
        except OSError:
            return  # a left-over file of a dead worker harms nobody: ids are never used twice
