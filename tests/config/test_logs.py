"""Log lines: facts with names, one line each, without secrets and without tricks."""

import io
import logging
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog
from pydantic import SecretStr

from config.choices import LogFormat, LogLevel
from config.events import JOB_RESULT_KEYS
from config.logs import configure, get_logger, reset
from config.settings import LogSettings
from jobs.errors import ConfigError
from jobs.report.results import result_fields
from jobs.states import JobState
from tests import planted
from tests.builders import a_job, a_request
from tests.fakes import FakeClock

SECRET = planted.credential("hunter2-4711-")
FORMATS = [LogFormat.JSON, LogFormat.PRETTY]

log = get_logger()


@dataclass
class Output:
    """What was written, and the means to set the logs up again."""

    stream: io.StringIO
    clock: FakeClock

    def configure(self, **given: Any) -> None:
        """Set the logs up; without *settings*, as JSON with one known secret."""
        settings = given.pop("settings", LogSettings(format=LogFormat.JSON))
        given.setdefault("known_secrets", [SECRET])
        configure(settings, stream=self.stream, clock=self.clock, **given)

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.text.splitlines()]

    @property
    def line(self) -> dict[str, Any]:
        [line] = self.lines
        return line


@pytest.fixture
def output() -> Iterator[Output]:
    """Return logs that write JSON to memory."""
    made = Output(io.StringIO(), FakeClock())
    made.configure()
    yield made
    reset()
    structlog.contextvars.clear_contextvars()


def fail_with_a_secret_in_hand() -> None:
    """Raise from a frame whose local variable holds a secret that nobody registered."""
    unregistered = "sk-" + "unregistered-" + "9" * 8
    message = f"cannot sign with {SECRET}, {len(unregistered)} characters"
    raise RuntimeError(message)


def test_a_line_is_json_with_time_level_and_event_first(output: Output) -> None:
    """Machines read one JSON object for each line; time is UTC with milliseconds."""
    output.clock.advance(1.2345)
    log.info("job.sent", attempt=1, status=200)

    assert list(output.line.items()) == [
        ("ts", "2026-11-24T12:00:01.234Z"),
        ("level", "info"),
        ("event", "job.sent"),
        ("attempt", 1),
        ("status", 200),
    ]
    assert output.text.endswith("}\n")


def test_time_goes_on_between_lines(output: Output) -> None:
    """Each line has its own time, also within the second and over its end."""
    for _ in range(3):
        log.info("job.sent")
        output.clock.advance(0.7)

    assert [line["ts"][17:] for line in output.lines] == ["00.000Z", "00.700Z", "01.400Z"]


def test_what_is_bound_to_the_task_is_in_each_line(output: Output) -> None:
    """Job and attempt are bound once and stand in every line of the job."""
    with structlog.contextvars.bound_contextvars(job="job-42"):
        log.info("job.sent", attempt=1)
    log.info("job.sent", attempt=2)

    assert [line.get("job") for line in output.lines] == ["job-42", None]


def test_a_real_job_result_has_all_its_keys(output: Output) -> None:
    """The canonical line has exactly the documented keys in their order, and no inputs."""
    request = a_request(inputs={"custom": {"ndots": "inputs-value"}}, labels={"change": "CHG-1"})
    job = a_job(JobState.SUCCEEDED, request=request, finished_us=output.clock.now_us())

    log.info("job.result", **result_fields(job, "host-1", output.clock.now_us()))

    assert tuple(output.line) == JOB_RESULT_KEYS
    assert output.line["outcome"] == "succeeded"
    assert output.line["labels"] == {"change": "CHG-1"}
    assert "inputs-value" not in output.text


@pytest.mark.parametrize(
    ("level", "written"),
    [
        (LogLevel.DEBUG, ["debug", "info", "warning", "error"]),
        (LogLevel.INFO, ["info", "warning", "error"]),
        (LogLevel.WARNING, ["warning", "error"]),
        (LogLevel.ERROR, ["error"]),
    ],
)
def test_less_important_lines_are_left_out(
    output: Output, level: LogLevel, written: list[str]
) -> None:
    """``logs.level`` is the least important line that is written; a logger made before follows."""
    output.configure(settings=LogSettings(format=LogFormat.JSON, level=level))

    for name in ("debug", "info", "warning", "error"):
        getattr(log, name)("store.trouble")

    assert [line["level"] for line in output.lines] == written


class TestFormats:
    """``auto`` is pretty on a terminal and JSON elsewhere."""

    @pytest.mark.parametrize(
        ("chosen", "is_terminal", "is_json"),
        [
            (LogFormat.AUTO, False, True),
            (LogFormat.AUTO, True, False),
            (LogFormat.JSON, True, True),
            (LogFormat.PRETTY, False, False),
        ],
    )
    def test_who_reads_decides_the_form(
        self, output: Output, chosen: LogFormat, *, is_terminal: bool, is_json: bool
    ) -> None:
        """People get words, pipes get JSON, and an explicit choice wins."""
        output.configure(settings=LogSettings(format=chosen), is_terminal=is_terminal)

        log.info("job.sent")

        assert output.text.startswith("{") is is_json

    def test_a_log_file_gets_json_also_from_a_terminal(
        self, output: Output, tmp_path: Path
    ) -> None:
        """What goes to a file is for machines, unless said otherwise."""
        path = tmp_path / "x.log"
        output.configure(settings=LogSettings(file=path), is_terminal=True)

        log.info("job.sent")

        assert orjson.loads(path.read_bytes())["event"] == "job.sent"
        assert output.text == ""

    def test_the_pretty_form_says_the_event_as_words(self, output: Output) -> None:
        """People read time, level, the event as words, and the fields that say something."""
        output.configure(settings=LogSettings(format=LogFormat.PRETTY))

        log.warning("job.retry_scheduled", job="job-1", cause="two words", delay_s=1.5, detail=None)

        assert output.text == (
            '12:00:00.000Z warning job retry scheduled job=job-1 cause="two words" delay_s=1.5\n'
        )

    def test_only_the_level_has_colour_and_only_if_wanted(self, output: Output) -> None:
        """Colour comes from us alone and can be switched off."""
        output.configure(settings=LogSettings(format=LogFormat.PRETTY), colour=True)

        log.error("store.trouble", detail="\x1b[32mgreen\x1b[0m")

        assert output.text.count("\x1b") == 2
        assert "\x1b[31merror  \x1b[0m" in output.text

    @pytest.mark.parametrize(
        ("value", "written"),
        [
            ('x" outcome=succeeded', '"x\\" outcome=succeeded"'),
            ("outcome=succeeded", '"outcome=succeeded"'),
            ('x"y', '"x\\"y"'),
            ("two words", '"two words"'),
            ("plain", "plain"),
        ],
    )
    def test_a_field_cannot_pretend_to_be_two(
        self, output: Output, value: str, written: str
    ) -> None:
        """Values with spaces, quotes or equals signs are quoted."""
        output.configure(settings=LogSettings(format=LogFormat.PRETTY))

        log.info("job.sent", cause=value)

        assert output.text.endswith(f" cause={written}\n")


@pytest.mark.parametrize("chosen", FORMATS)
class TestNoSecret:
    """A secret is never in a line, whatever it hides in."""

    @pytest.mark.parametrize(
        "fields",
        [
            {"detail": SECRET},
            {"detail": f"before{SECRET}after"},
            {"detail": "x" * 990 + SECRET},
            {"detail": [1, {"deep": (SECRET,)}]},
            {"labels": {SECRET: "as a key"}},
            {SECRET: "as a field"},
            {"password": "unregistered"},
            {"labels": {"apiToken": "unregistered"}},
            {"url": "https://me:unregistered@example.com/x"},
            {"url": "https://example.com/x?access_token=unregistered&a=1"},
            {"detail": "refused: password=unregistered"},
            {"headers": {"X-Any": "unregistered"}},
            {"inputs": {"ndots": "unregistered"}},
            {"labels": {"inputs": {"ndots": "unregistered"}}},
            {"body": b"unregistered"},
            {"detail": SecretStr("unregistered")},
            {"detail": a_job(request=a_request(inputs={"a": "unregistered"}))},
            {"detail": a_request(inputs={"a": "unregistered"})},
            {"detail": RuntimeError(f"{SECRET} password=unregistered")},
            {"detail": b"unregistered"},
        ],
        ids=str,
    )
    def test_in_a_field(self, output: Output, chosen: LogFormat, fields: dict[str, Any]) -> None:
        """Registered values, secret-looking keys, passwords in URLs, inputs and unknown objects."""
        output.configure(settings=LogSettings(format=chosen))

        log.info("job.sent", **fields)

        assert "sent" in output.text
        assert "hunter2" not in output.text  # nor the half that is left where a value is cut
        assert "unregistered" not in output.text

    def test_in_a_number(self, output: Output, chosen: LogFormat) -> None:
        """Also a secret of digits is hidden, and the line stays readable."""
        output.configure(settings=LogSettings(format=chosen), known_secrets=["471147114711"])

        log.info("job.sent", status=471147114711, attempt=1)

        assert "4711" not in output.text
        assert "attempt" in output.text
        assert chosen is LogFormat.PRETTY or output.line["status"] == "***"

    def test_in_a_value_with_quotes_or_line_breaks(self, output: Output, chosen: LogFormat) -> None:
        """Escaping does not bring a secret back."""
        known = ['a"b\\c-4711', "line one 4711\nline two 4711"]
        output.configure(settings=LogSettings(format=chosen), known_secrets=known)

        log.info("job.sent", detail=f"x {known[0]}", cause=f"y {known[1]}")

        assert "4711" not in output.text

    def test_in_an_exception_or_its_frames(self, output: Output, chosen: LogFormat) -> None:
        """Tracebacks show no local variables, and messages lose what is registered."""
        output.configure(settings=LogSettings(format=chosen))

        try:
            fail_with_a_secret_in_hand()
        except RuntimeError:
            log.exception("job.crashed", job="job-1")

        assert "fail_with_a_secret_in_hand" in output.text
        assert "RuntimeError: cannot sign with ***" in output.text
        assert SECRET not in output.text
        assert "9" * 8 not in output.text

    def test_in_what_another_library_says(self, output: Output, chosen: LogFormat) -> None:
        """Other libraries' warnings go the same way."""
        output.configure(settings=LogSettings(format=chosen))

        logging.root.getChild("aiohttp.client").warning("retry with %s", SECRET)

        assert "aiohttp.client" in output.text
        assert SECRET not in output.text


@pytest.mark.parametrize("chosen", FORMATS)
@pytest.mark.parametrize(
    "foreign",
    [
        "a\x1b[2J\x1b[31mb",
        "a\nlevel=error event=forged",
        "a\r\n{}",
        "a\u2028b\u2029c",
        "a\u202eb\u2066c",
        "a\x9b31mb\x85c",
        "a\x00b\x07c",
        "half \ud83d",
    ],
    ids=ascii,
)
class TestForeignText:
    """Foreign text can neither drive a terminal, forge a line nor reorder what is read."""

    def check(self, output: Output) -> None:
        text = output.text
        assert text.endswith("\n")
        assert all(mark.isprintable() for mark in text.replace("\n", ""))
        text.encode()

    def test_in_a_field_or_key(self, output: Output, chosen: LogFormat, foreign: str) -> None:
        """Values, nested values and keys are made harmless; it stays one line."""
        output.configure(settings=LogSettings(format=chosen))

        log.info("job.sent", reason=foreign, labels={foreign: [foreign]}, **{foreign: 1})

        self.check(output)
        assert output.text.count("\n") == 1

    def test_in_an_exception(self, output: Output, chosen: LogFormat, foreign: str) -> None:
        """An exception's text forges no line: in the pretty form each of its lines has a bar."""
        output.configure(settings=LogSettings(format=chosen))

        log.error("job.crashed", exc_info=ValueError(foreign))

        self.check(output)
        first, *rest = output.text.splitlines()
        assert "crashed" in first
        assert all(line.startswith("    | ") for line in rest)

    def test_in_what_another_library_says(
        self, output: Output, chosen: LogFormat, foreign: str
    ) -> None:
        """A peer's answer in aiohttp's warning is foreign text too."""
        output.configure(settings=LogSettings(format=chosen))

        logging.root.getChild("x").warning("peer said %s", foreign)

        self.check(output)
        assert output.text.count("\n") == 1


class Number(IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (JobState.SUCCEEDED, "succeeded"),
        (Number.ONE, 1),
        (True, True),
        (1.5, 1.5),
        (float("nan"), None),
        (2**70, str(2**70)),
        (Path("/x/y"), "/x/y"),
        ({"a"}, ["a"]),
        ((1, [2, {"b": None}]), [1, [2, {"b": None}]]),
        (list(range(1_000)), list(range(200))),
        (object(), "<object>"),
        ("x" * 5_000, "x" * 999 + "…"),
        (KeyError("k"), "KeyError: 'k'"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_value_can_be_logged(output: Output, value: object, written: object) -> None:
    """Nothing that is logged can stop the worker; what has no plain form is named by its type."""
    log.info("job.sent", detail=value)

    assert output.line["detail"] == written


def test_endless_nesting_ends(output: Output) -> None:
    """A structure that contains itself is cut."""
    loop: list[object] = []
    loop.append(loop)

    log.info("job.sent", detail=loop)

    assert "<list>" in output.text


def test_an_exception_whose_text_fails_is_still_logged(output: Output) -> None:
    """A broken exception class of a library costs its text, not the worker."""

    class BrokenError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    log.info("job.sent", detail=BrokenError())
    log.error("job.crashed", exc_info=BrokenError())

    assert [line["event"] for line in output.lines] == ["job.sent", "job.crashed"]


def test_a_long_traceback_keeps_its_beginning_and_end(output: Output) -> None:
    """A runaway traceback is bounded, and its last line, the message, stays."""
    log.error("job.crashed", exc_info=ValueError("head " + "y\n" * 20_000 + "tail"))

    exception = output.line["exception"]
    assert len(exception) < 20_000
    assert exception.startswith("ValueError: head")
    assert exception.endswith("tail")


@pytest.mark.parametrize("info", [None, False, (None, None, None), True])
def test_no_exception_is_no_exception(output: Output, info: object) -> None:
    """Asking for a traceback where there is none adds nothing."""
    log.info("job.sent", exc_info=info)

    assert set(output.line) == {"ts", "level", "event"}


class TestOtherLibraries:
    """What other libraries say through the standard library's logging is a line of ours."""

    def test_warnings_become_library_warnings(self, output: Output) -> None:
        """Nothing is printed raw beside the log lines."""
        logging.root.getChild("asyncio").error("it took %d ms", 5)

        assert output.line == {
            "ts": "2026-11-24T12:00:00.000Z",
            "level": "error",
            "event": "library.warning",
            "logger": "asyncio",
            "message": "it took 5 ms",
        }

    def test_their_ordinary_talk_is_left_out(self, output: Output) -> None:
        """Access logs and debug lines of libraries are none of the operator's business."""
        logging.root.getChild("aiohttp.access").info("GET /")

        assert output.text == ""

    def test_a_broken_record_is_logged_as_it_is(self, output: Output) -> None:
        """A library's own mistake in a log call costs nothing."""
        [ours] = [one for one in logging.root.handlers if type(one).__module__ == "config.logs"]

        # Handed over directly: pytest's own handler would fail at it first.
        ours.handle(logging.LogRecord("x", logging.WARNING, "x.py", 1, "%d items", ("many",), None))

        assert output.line["message"] == "%d items"

    def test_their_exceptions_have_no_locals(self, output: Output) -> None:
        """Also a library's traceback is printed without local variables."""
        try:
            fail_with_a_secret_in_hand()
        except RuntimeError:
            logging.root.getChild("x").exception("failed")

        assert "RuntimeError: cannot sign" in output.line["exception"]
        assert "9" * 8 not in output.text

    def test_python_warnings_are_log_lines(self, output: Output) -> None:
        """A deprecation does not break a stream of JSON."""
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            output.configure()
            warnings.warn("old", UserWarning, stacklevel=1)
            reset()

        assert output.line["logger"] == "py.warnings"
        assert "UserWarning: old" in output.line["message"]

    def test_setting_up_twice_does_not_double_them(self, output: Output) -> None:
        """There is one handler, however often the logs are set up."""
        output.configure()
        output.configure()

        logging.root.getChild("x").warning("once")

        assert len(output.lines) == 1


class TestLoss:
    """A log that cannot be written never stops the worker."""

    def test_a_closed_pipe_does_not_stop_the_worker(self, output: Output) -> None:
        """When the reader leaves, the work goes on."""
        reader, writer = os.pipe()
        with os.fdopen(writer, "w") as stream:
            configure(LogSettings(format=LogFormat.JSON), stream=stream, clock=output.clock)
            os.close(reader)

            log.info("job.sent")
            reset()

        assert output.text == ""

    def test_lost_lines_are_told_once_writing_works_again(self, output: Output) -> None:
        """A gap in the log is not silent."""

        class Flaky(io.StringIO):
            broken = True

            def write(self, text: str, /) -> int:
                if self.broken:
                    raise OSError
                return super().write(text)

        stream = Flaky()
        output.stream = stream
        output.configure()

        log.info("job.sent", attempt=1)
        log.info("job.sent", attempt=2)
        stream.broken = False
        log.info("job.sent", attempt=3)
        log.info("job.sent", attempt=4)

        events = [(line["event"], line.get("count")) for line in output.lines]
        assert events == [("job.sent", None), ("log.lines_lost", 2), ("job.sent", None)]

    def test_a_log_file_that_cannot_be_opened_is_told_at_start(
        self, output: Output, tmp_path: Path
    ) -> None:
        """A worker that could not log does not start, and the former logs stay in force."""
        with pytest.raises(ConfigError, match=r"no/x\.log"):
            output.configure(settings=LogSettings(file=tmp_path / "no" / "x.log"))

        log.info("job.sent")
        assert output.line["event"] == "job.sent"


def test_tests_can_capture_events(output: Output) -> None:
    """The ``capture_logs`` of structlog works with our loggers."""
    with structlog.testing.capture_logs() as captured:
        log.info("job.sent", attempt=1)

    assert captured == [{"event": "job.sent", "attempt": 1, "log_level": "info"}]
    assert output.text == ""
