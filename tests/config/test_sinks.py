"""Sinks: a line is written whole or not at all, and a reader that left costs no work."""

import fcntl
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.sinks import DescriptorSink, StreamSink, file_sink, sink_for
from jobs.errors import ConfigError


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Return the reading and the writing end of a pipe."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_a_line_is_one_write(pipe: tuple[int, int]) -> None:
    """Lines of several processes on one pipe do not mix, because each is one write."""
    reader, writer = pipe
    # A packet pipe keeps writes apart, so that one read gets one write.
    packets = os.pipe2(os.O_DIRECT)
    try:
        assert DescriptorSink(packets[1]).write(b"x" * 3_000 + b"\n")
        assert DescriptorSink(writer).write(b"second\n")

        assert os.read(packets[0], 65_536) == b"x" * 3_000 + b"\n"
        assert os.read(reader, 100) == b"second\n"
    finally:
        os.close(packets[0])
        os.close(packets[1])


def test_a_reader_that_left_is_no_error() -> None:
    """``plugwave work | head`` goes on working when head is done."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert DescriptorSink(writer).write(b"line\n") is False
    finally:
        os.close(writer)


def test_a_full_pipe_costs_the_line_and_little_time(pipe: tuple[int, int]) -> None:
    """A reader that does not read holds nothing up, and no line is glued to a torn one."""
    reader, writer = pipe
    os.set_blocking(writer, False)
    size = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4_096)
    sink = DescriptorSink(writer)

    assert sink.write(b"a" * (size - 100) + b"\n")
    assert sink.write(b"b" * (size + 100) + b"\n") is False
    os.read(reader, 2 * size)
    assert sink.write(b"next\n")

    assert os.read(reader, 2 * size).endswith(b"next\n")


def test_a_torn_line_is_ended_before_the_next(pipe: tuple[int, int]) -> None:
    """A reader always finds a whole line after a torn one."""
    reader, writer = pipe
    os.set_blocking(writer, False)
    size = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4_096)
    sink = DescriptorSink(writer)

    assert sink.write(b"b" * (2 * size) + b"\n") is False
    torn = os.read(reader, 4 * size)
    assert sink.write(b"next\n")

    assert torn.strip(b"b") == b""
    assert os.read(reader, 100) == b"\nnext\n"


def test_a_log_file_is_for_its_owner_and_is_appended_to(tmp_path: Path) -> None:
    """Nobody else reads the log file, and a restart loses no line."""
    path = tmp_path / "plugwave.log"
    for line in (b"one\n", b"two\n"):
        sink = file_sink(path)
        assert sink.write(line)
        sink.close()

    assert path.read_bytes() == b"one\ntwo\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_log_file_that_cannot_be_opened_says_what_to_do(tmp_path: Path) -> None:
    """A folder that is not there is told with the setting's name."""
    with pytest.raises(ConfigError, match=r"missing/x\.log") as caught:
        file_sink(tmp_path / "missing" / "x.log")

    assert "logs.file" in caught.value.do


def test_a_closed_file_takes_no_more_lines(tmp_path: Path) -> None:
    """A late line never lands in another file that got the same number."""
    sink = file_sink(tmp_path / "x.log")
    sink.close()
    sink.close()

    with (tmp_path / "other").open("w"):
        assert sink.write(b"late\n") is False

    assert (tmp_path / "other").read_bytes() == b""


def test_a_stream_without_descriptor_is_written_to_as_text() -> None:
    """Notebooks and tests see the lines too; a closed one costs only the line."""
    stream = io.StringIO()
    sink = sink_for(stream)

    assert isinstance(sink, StreamSink)
    assert sink.write("ünï\n".encode())
    assert stream.getvalue() == "ünï\n"
    stream.close()
    assert sink.write(b"late\n") is False


def test_a_stream_with_descriptor_is_written_to_directly() -> None:
    """Standard error is written to without a buffer that another line could land in."""
    assert sys.__stderr__ is not None
    assert isinstance(sink_for(sys.__stderr__), DescriptorSink)
