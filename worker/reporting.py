"""One `job.result` line for every final state, written once, also across kill -9.

The store keeps each worker's results in a row; this module writes them out in that order
and keeps, beside the store, how far it got.  The cursor is eight bytes of a memory-mapped
file: it costs no system call, so that between the line and the mark there is no room to be
killed in, and it outlives the process.  A lock on the file tells whether its writer lives.
The next worker on this machine takes over the rest of a dead one's row.
"""

import fcntl
import hashlib
import mmap
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self

import anyio
import platformdirs
import structlog
from structlog.typing import FilteringBoundLogger

from jobs.errors import StoreError
from jobs.model import Job, WorkerId
from jobs.report.results import result_fields
from jobs.states import BAD_STATES
from jobs.store.protocol import Result, WorkStore

log = structlog.get_logger()

_SIZE: Final = 8
_SUFFIX: Final = ".reported"

Emit = Callable[[Result], None]


def emitter() -> Emit:
    """Return what writes the canonical lines of jobs that ended in a worker's hands.

    It is for one batch: a logger that is looked up for each line anew costs half of the line.
    """
    logger = log.bind()

    def emit(result: Result) -> None:
        _emit(logger, result.job, result.worker_name)

    return emit


def emit_job(job: Job, worker_name: str | None) -> None:
    """Write the canonical line of one final job."""
    _emit(log, job, worker_name)


def _emit(logger: FilteringBoundLogger, job: Job, worker_name: str | None) -> None:
    fields: Mapping[str, Any] = result_fields(job, worker_name, job.finished_us or 0)
    if job.state in BAD_STATES:
        logger.error("job.result", **fields)
    else:
        logger.info("job.result", **fields)


def report_folder(sqlite_path: Path | None, address: str) -> Path:
    """Return where this machine keeps how far results of one store were reported.

    Args:
        sqlite_path: The file of a SQLite store.
        address: The address of another one; what stands before the host does not count.
    """
    if sqlite_path is not None:
        return sqlite_path.with_name(sqlite_path.name + ".results")
    store = hashlib.sha256(address.rpartition("@")[2].encode()).hexdigest()[:16]
    return platformdirs.user_state_path("plugwave") / "results" / store


def _locked(path: Path, flags: int = 0) -> int:
    """Open a file and take its lock, which goes when it is closed or its process ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


class Cursor:
    """How many results of one worker have been written out.

    The file appears under its name only when it is locked, and goes before its lock does, so
    nobody else ever finds one that is not in use or left behind.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        """Take an open file that is locked; see `create` and `adopt`."""
        self._path = path
        self._descriptor = descriptor
        self._bytes = mmap.mmap(descriptor, _SIZE)

    @classmethod
    def create(cls, path: Path) -> Self:
        """Begin with the first result of a new worker, in place of whatever has that name."""
        making = path.with_name(f"{path.name}.{os.getpid()}.new")
        descriptor = _locked(making, os.O_CREAT | os.O_TRUNC)
        os.ftruncate(descriptor, _SIZE)
        making.replace(path)
        return cls(path, descriptor)

    @classmethod
    def adopt(cls, path: Path) -> Self:
        """Go on where a dead worker stopped.

        Raises:
            OSError: If it lives, or if somebody has written all it left and removed the file:
                one made anew would begin with its first result again.
        """
        descriptor = _locked(path)
        if os.fstat(descriptor).st_nlink == 0:
            os.close(descriptor)
            raise FileNotFoundError(path)  # removed between our opening and our locking
        return cls(path, descriptor)

    @property
    def value(self) -> int:
        """The last result written out; 0 when none."""
        (value,) = struct.unpack_from("<q", self._bytes)
        return int(value)

    def advance(self, value: int) -> None:
        """Mark everything up to *value* as written out."""
        struct.pack_into("<q", self._bytes, 0, value)

    def close(self, *, done: bool) -> None:
        """Let go of the file; *done* also removes it, because nothing is left to write."""
        if done:
            self._path.unlink(missing_ok=True)
        self._bytes.close()
        os.close(self._descriptor)


class Reporter:
    """Writes the result lines of this process's workers, and of dead ones on this machine."""

    def __init__(self, store: WorkStore, folder: Path, emit: Emit | None = None) -> None:
        self._store = store
        self._folder = folder
        self._emit = emit
        self._wake = anyio.Event()
        self._cursor: Cursor | None = None
        self._worker = WorkerId(0)
        self._told = 0
        self._awaited = 0

    def start(self, worker: WorkerId) -> None:
        """Report for *worker* from now on."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._worker = worker
        # Ids are never used twice, so an old file of that name is another store's.
        self._cursor = Cursor.create(self._folder / f"{worker}{_SUFFIX}")
        self._told = 0

    def wake(self, results: int = 1) -> None:
        """Say that jobs have become final in this worker's name."""
        self._awaited += results
        self._wake.set()

    async def run(self) -> None:
        """Write results as they come, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            # A store tells what it remembers first, so one answer may not have all of them.
            while self._awaited > 0:
                written = await self.flush()
                self._awaited = max(0, self._awaited - written) if written else 0

    async def flush(self) -> int:
        """Write the results that are not written yet; return how many, none when that was all."""
        if self._cursor is None:
            return 0
        return await self._write(self._worker, self._cursor)

    async def tell(self) -> None:
        """Tell the store how far the lines are written: only such results may ever be removed."""
        if self._cursor is not None and self._cursor.value > self._told:
            written = self._cursor.value
            await self._store.reported(self._worker, written)
            self._told = written

    async def stop(self) -> None:
        """Write the rest and forget the cursor."""
        if self._cursor is None:
            return
        done = False
        try:
            while await self.flush():
                pass
            await self.tell()
            done = True
        finally:
            self._cursor.close(done=done)
            self._cursor = None

    def abandon(self) -> None:
        """Let go of the cursor as a killed process does: nothing more is written."""
        if self._cursor is not None:
            self._cursor.close(done=False)
            self._cursor = None

    async def adopt(self) -> None:
        """Write what dead workers of this machine left unwritten."""
        if not self._folder.is_dir():
            return
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            try:
                cursor = Cursor.adopt(path)
            except OSError:  # its writer lives, or it has gone meanwhile
                continue
            done = False
            try:
                worker = WorkerId(int(path.name.removesuffix(_SUFFIX)))
                while await self._write(worker, cursor):
                    pass
                await self._store.reported(worker, cursor.value)
                done = True
            except StoreError as error:
                log.warning("store.trouble", error=str(error), doing="report")
            finally:
                cursor.close(done=done)

    async def _write(self, worker: WorkerId, cursor: Cursor) -> int:
        results = await self._store.results_after(worker, cursor.value)
        emit = self._emit or emitter()
        for result in results:
            emit(result)
            cursor.advance(result.seq)
        return len(results)
