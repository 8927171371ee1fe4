"""What the person asked of this run beyond the command itself: the global flags."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

from jobs.errors import UsageError

OutputForm = Literal["table", "json", "ndjson", "name"]
OUTPUTS: Final = ("table", "json", "ndjson", "name")


@dataclass(slots=True)
class Choices:
    """The global flags, filled while the command line is read.

    ``verbose`` is how often ``-v`` was given; ``told`` is set once an error stands in the
    document on stdout, so that no second one follows.
    """

    output: OutputForm = "table"
    config: Path | None = None
    profile: str | None = None
    no_color: bool = False
    ascii: bool = False
    quiet: bool = False
    verbose: int = 0
    log_format: Literal["pretty", "json"] | None = None
    told: bool = False

    def remember(self, name: str, value: Any) -> None:  # noqa: ANN401 - one of the flags' values
        """Keep one flag; ``-v`` adds up over both places.

        Raises:
            UsageError: If the output form is not one of OUTPUTS.
        """
        if name == "output":
            self.output = output_form(str(value))
        elif name == "verbose":
            self.verbose += int(value)
        else:
            setattr(self, name, value)


def output_form(text: str) -> OutputForm:
    """Return the output form that *text* names.

    Raises:
        UsageError: If there is no such form.
    """
    if text in OUTPUTS:
        return cast("OutputForm", text)
    known = ", ".join(OUTPUTS)
    if text == "yaml":
        raise UsageError("this version prints no YAML", do=f"choose one of {known}: -o json")
    raise UsageError(f"there is no output form '{text}'", do=f"choose one of: {known}")


def wanted_by(arguments: list[str]) -> OutputForm:
    """Return the output form of a command line that could not be read to its end."""
    for number, argument in enumerate(arguments):
        value = None
        if argument in {"-o", "--output"} and number + 1 < len(arguments):
            value = arguments[number + 1]
        elif argument.startswith("--output="):
            value = argument.partition("=")[2]
        elif argument.startswith("-o") and len(argument) > 2:
            value = argument[2:]
        if value in OUTPUTS:
            return cast("OutputForm", value)
    return "table"
