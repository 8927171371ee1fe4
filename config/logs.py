"""Set up logging: one pipeline for our events and for what other libraries say.

``log = get_logger()`` at a module's head, ``log.info("job.sent", attempt=1)`` in it.  Event
names are registered in `config.events`; what happens to the fields is `config.lines`;
where lines go is `config.sinks`.  Before `configure` nothing should be logged.
"""

import logging
from collections.abc import Iterable
from functools import partial
from typing import Any, Final, TextIO

import structlog
from structlog.typing import FilteringBoundLogger

from config.choices import LogFormat
from config.lines import LinePipeline, Rendered, json_line, pretty_line
from config.masking import Redactor
from config.settings import LogSettings
from config.sinks import Sink, file_sink, sink_for
from jobs.clock import Clock, SystemClock

_LIBRARY_LEVEL: Final = logging.WARNING
"""Other libraries are heard from here on; below, they tell of their own workings."""


def get_logger() -> FilteringBoundLogger:
    """Return a logger; it may be made before `configure` and follows it."""
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger


def configure(
    settings: LogSettings,
    *,
    stream: TextIO,
    known_secrets: Iterable[str] = (),
    is_terminal: bool = False,
    colour: bool = False,
    clock: Clock | None = None,
) -> None:
    """Make every log line of this process go one way; may be called again.

    Args:
        settings: Format, file and level.
        stream: Where lines go without ``settings.file``, as a rule standard error.
        known_secrets: Values that must never be in a line, wherever they turn up.
        is_terminal: Whether *stream* is a terminal; decides what ``auto`` means.
        colour: Whether the pretty form may colour the level.
        clock: Where ``ts`` comes from; the machine's clock without one.

    Raises:
        ConfigError: If ``settings.file`` cannot be opened.
    """
    sink = sink_for(stream) if settings.file is None else file_sink(settings.file)
    pretty = settings.format is LogFormat.PRETTY or (
        settings.format is LogFormat.AUTO and is_terminal and settings.file is None
    )
    render: Rendered = partial(pretty_line, colour=colour) if pretty else json_line
    pipeline = LinePipeline(
        redactor=Redactor(known_secrets), clock=clock or SystemClock(), render=render
    )
    reset()
    output = _Output(sink, pipeline)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, pipeline],
        wrapper_class=structlog.make_filtering_bound_logger(settings.level.value),
        context_class=dict,
        logger_factory=lambda *_arguments: output,
        # Not cached: a later `configure` (another level, a test) must reach every module's logger.
        cache_logger_on_first_use=False,
    )
    _listen(_LibraryHandler(output))


def reset() -> None:
    """Undo `configure`: close the log file and stop hearing other libraries."""
    root = logging.root
    for handler in [one for one in root.handlers if isinstance(one, _LibraryHandler)]:
        root.removeHandler(handler)
        handler.close()
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def _listen(handler: logging.Handler) -> None:
    logging.root.addHandler(handler)
    logging.captureWarnings(capture=True)


class _Output:
    """What structlog hands finished lines to; counts the ones that could not be written."""

    def __init__(self, sink: Sink, pipeline: LinePipeline) -> None:
        self._sink = sink
        self._pipeline = pipeline
        self._lost = 0

    def write(self, line: bytes) -> None:
        """Write the line; after losses, tell of them as soon as writing works again."""
        if not self._sink.write(line):
            self._lost += 1
        elif self._lost:
            lost, self._lost = self._lost, 0
            fields: dict[str, Any] = {"event": "log.lines_lost", "count": lost}
            self._sink.write(self._pipeline(None, "warning", fields))

    debug = info = warning = error = critical = write

    def close(self) -> None:
        """Close what the sink opened itself."""
        self._sink.close()


class _LibraryHandler(logging.Handler):
    """Turns a record of the standard library's logging into our ``library.warning``."""

    def __init__(self, output: _Output) -> None:
        super().__init__(_LIBRARY_LEVEL)
        self._output = output
        self._log = get_logger()

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record; a record that cannot be formatted is logged by its raw text."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - another library's arguments may fail in any way
            message = str(record.msg)
        self._log.log(
            min(record.levelno // 10 * 10, logging.CRITICAL),
            "library.warning",
            logger=record.name,
            message=message,
            exc_info=record.exc_info,
        )

    def close(self) -> None:
        """Let go of the output with the handler."""
        self._output.close()
        super().close()
