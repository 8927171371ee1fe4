"""Where finished log lines go: one write for each line, and no trouble for the worker.

A line is handed to the system in one call, so that lines of several processes that share
a file or a pipe do not interleave.  A reader that went away, or a full disk, costs lines
and never the worker; `config.logs` counts what was lost and tells it later.
"""

import io
import os
import select
from pathlib import Path
from typing import Final, Protocol, TextIO

from jobs.errors import ConfigError

FULL_PIPE_WAIT_S: Final = 0.05
"""How long a line waits for a slow reader; longer would hold up the whole event loop."""

FILE_MODE: Final = 0o600


class Sink(Protocol):
    """Takes finished lines."""

    def write(self, line: bytes) -> bool:
        """Write *line*, which ends in a line break; return whether it was; never raises."""
        ...

    def close(self) -> None:
        """Close what the sink opened itself; harmless when repeated."""
        ...


class DescriptorSink:
    """Writes to a file descriptor, each line in one ``write`` as far as the system allows."""

    def __init__(self, descriptor: int, *, owned: bool = False) -> None:
        self._descriptor = descriptor
        self._owned = owned
        self._torn = False

    def write(self, line: bytes) -> bool:
        """Write the line; False if the other end is closed, full or slow.

        A line of which only a part could be written is ended before the next one.
        """
        rest = memoryview(b"\n" + line if self._torn else line)
        whole = len(rest)
        try:
            while rest:
                rest = rest[self._write_some(rest) :]
        except OSError:
            # Closed pipe, full disk, a reader that does not read: none is a reason to stop work.
            self._torn = self._torn or len(rest) < whole
            return False
        self._torn = False
        return True

    def close(self) -> None:
        """Close the descriptor if it is the sink's own."""
        if self._owned:
            os.close(self._descriptor)
            # The number may soon be somebody else's file.
            self._descriptor, self._owned = -1, False

    def _write_some(self, data: memoryview) -> int:
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            select.select([], [self._descriptor], [], FULL_PIPE_WAIT_S)
            return os.write(self._descriptor, data)


class StreamSink:
    """Writes to a text stream that has no file descriptor, as in tests and notebooks."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: bytes) -> bool:
        """Write the line; False if the stream is closed."""
        try:
            self._stream.write(line.decode())
            self._stream.flush()
        except (OSError, ValueError):
            return False
        return True

    def close(self) -> None:
        """Leave the stream to who opened it."""


def sink_for(stream: TextIO) -> Sink:
    """Return the sink that writes to *stream*."""
    try:
        return DescriptorSink(stream.fileno())
    except (AttributeError, io.UnsupportedOperation, ValueError):
        return StreamSink(stream)


def file_sink(path: Path) -> Sink:
    """Return the sink that appends to the file, made readable for its owner alone.

    Raises:
        ConfigError: If the file cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    except OSError as error:
        raise ConfigError(
            f"cannot write the log file {path}: {error.strerror}",
            do="name a file in `logs.file` whose folder exists and may be written",
        ) from None
    return DescriptorSink(descriptor, owned=True)
