"""`plugwave doctor`."""

from typing import Any, Final

import click

from config.masking import clean_text, mask_text
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.fleet import PROJECT, REGION
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import document, no_names
from worker.cli.session import configure_logs, loaded_settings, quiet_logs, run_async
from worker.doctor.checkup import Asked, Report, checkup
from worker.doctor.lines import CheckLine, Verdict

COLOURS: Final = {
    Verdict.OK: "green",
    Verdict.WARN: "yellow",
    Verdict.SKIP: "dim",
    Verdict.FAIL: "red",
}

LINE_LIMIT: Final = 1000
"""Characters of one text that are printed."""


@click.command(cls=PlugwaveCommand)
@click.option("--project", type=PROJECT, help="The project id to read; without it IAM is asked.")
@click.option("--region", type=REGION, help="The region to look at.")
@click.pass_obj
def doctor(choices: Choices, /, **wanted: Any) -> int:  # noqa: ANN401 - click's values, named by Asked
    """Check credentials, clock, region, rights and store; changes nothing in the cloud.

    Leaves with 0 when a worker could work, 2 when a setting is wrong, 4 when the cloud refuses
    the credential, 9 when the cloud or the store cannot be reached.  A wrong secret is shown to
    the cloud once.  A right one closes its breaker: jobs parked behind it go on by themselves.
    """
    no_names(Console(choices))
    return run_async(_doctor, choices, Asked(**wanted))


async def _doctor(choices: Choices, asked: Asked) -> int:
    console = Console(choices)
    loaded = loaded_settings(choices)
    configure_logs(choices, loaded, logs=quiet_logs(loaded))
    report = await checkup(loaded, asked)
    if console.structured:
        document(console, _fields(report))
    else:
        _print(console, report)
    return report.exit_code


def _fields(report: Report) -> dict[str, Any]:
    return {
        "kind": "doctor",
        "ok": report.exit_code == 0,
        "checks": [line.as_dict() for line in report.lines],
        "next": report.next,
    }


def _print(console: Console, report: Report) -> None:
    width = max(len(line.topic) for line in report.lines)
    for line in report.lines:
        word = console.paint(f"{line.verdict.value:<4}", COLOURS[line.verdict])
        console.out(f"{word}  {line.topic:<{width}}  {_clean(_text(line))}")
        for name, text in _further(line):
            console.out(f"      {'':<{width}}  {name:<5}  {_clean(text)}")
    console.out(report.next)


def _text(line: CheckLine) -> str:
    return line.text if line.error is None else f"error[{line.error.code}]: {line.text}"


def _further(line: CheckLine) -> list[tuple[str, str]]:
    error = line.error
    told = {
        "why": None if error is None else error.why,
        "do": line.do,
        "proof": None if error is None else error.proof,
    }
    return [(name, text) for name, text in told.items() if text]


def _clean(text: str) -> str:
    return clean_text(mask_text(text), LINE_LIMIT)
