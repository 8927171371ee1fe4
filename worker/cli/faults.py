"""How an error looks, and with which code the program leaves: the one place for both.

For a person, on stderr:

    error[CODE]: what happened
      why    the likely reason
      do     the next step
      proof  what was seen

With ``-o json`` and ``-o ndjson`` the same stands as an object on stdout.  A traceback is
printed with ``-vv`` only, and never with local variables.
"""

import json
import os
import sys
import traceback
from collections.abc import Iterator

import click

from config.masking import clean_text, mask_text
from jobs.errors import InputFileError, ManifestError, PlugwaveError, UsageError
from worker.cli.choices import Choices
from worker.cli.terminal import painted, takes_colour

BUG_EXIT = 1
INTERRUPTED_EXIT = 130
PIPE_EXIT = 141
"""128 + SIGPIPE: the reader of our output has gone, so the rest of the work was not done."""

LINE_LIMIT = 1000
"""Characters of one line of an error."""


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors inside a group, and any other error as it is."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def telling(error: BaseException) -> BaseException:
    """Return the error to tell: of a group, the first one that was raised on purpose."""
    found = list(leaves(error))
    ours = [one for one in found if isinstance(one, PlugwaveError)]
    return (ours or found)[0]


def from_click(error: click.ClickException) -> PlugwaveError:
    """Return a wrong command line as our own error."""
    if isinstance(error, click.FileError):
        return InputFileError(error.format_message())
    ctx = getattr(error, "ctx", None)
    path = "plugwave" if ctx is None else ctx.command_path
    message = error.format_message().rstrip(".")
    return UsageError(message[:1].lower() + message[1:], do=f"see {path} --help")


def from_bug(error: BaseException) -> PlugwaveError:
    """Return an error nobody expected as one that can be shown: its type and its text."""
    said = str(error)
    return PlugwaveError(
        f"{type(error).__name__}: {said}" if said else type(error).__name__,
        why="this is a defect in plugwave, or something it did not expect of this machine",
        do="run it again with -vv to see where it happened, and report that",
    )


def show(error: PlugwaveError, choices: Choices, *, cause: BaseException) -> int:
    """Print *error* and return the exit code; *cause* is where a traceback starts."""
    if choices.verbose >= 2:
        # No capture_locals: a local may be a secret.
        sys.stderr.write("".join(traceback.format_exception(cause)))
    sys.stderr.write(human(error, coloured=takes_colour(sys.stderr, choices, os.environ)))
    sys.stderr.flush()
    if choices.output in {"json", "ndjson"} and not choices.told:
        body = {"schema": "plugwave/v1", "error": error.as_dict()}
        indent = 2 if choices.output == "json" else None
        sys.stdout.write(json.dumps(body, indent=indent, default=str) + "\n")
    return error.exit_code


def human(error: PlugwaveError, *, coloured: bool = False) -> str:
    """Return the lines a person reads."""
    head = f"error[{error.code}]:"
    if coloured:
        head = painted(head, "red")
    said = _quoting(str(error)) if isinstance(error, ManifestError) else _cleaned(str(error))
    lines = [f"{head} {said}"]
    for name, text in (("why", error.why), ("do", error.do), ("proof", error.proof)):
        if text:
            lines.append(f"  {name:<5}  {_cleaned(text)}")
    return "\n".join(lines) + "\n"


def _quoting(text: str) -> str:
    """Return findings with quoted lines: every space counts, because carets stand under it."""
    return "\n".join(mask_text(line) for line in text.split("\n"))


def _cleaned(text: str) -> str:
    """Return the text with its control characters replaced; further lines are indented."""
    first, *rest = [clean_text(mask_text(line), LINE_LIMIT) for line in text.split("\n")]
    return "\n".join([first, *(f"         {line}" for line in rest)])
