"""`plugwave report`: what became of a rollout, as a page, a ticket, a test report or a table."""

from pathlib import Path
from typing import Any

import click

from jobs.errors import UsageError
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.files import write_own
from worker.cli.lazy import PlugwaveCommand
from worker.cli.printing import document, no_names
from worker.cli.session import reading, run_async
from worker.report.facts import facts_of, gathered
from worker.telling.rollouts import existing_rollout


@click.command(cls=PlugwaveCommand)
@click.argument("rollout")
@click.option(
    "--format",
    "form",
    type=click.Choice(["html", "md", "junit", "csv", "json"]),
    default="md",
    help="One page, Markdown for a ticket, JUnit XML, one row for each pool, or everything; md.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it here.")
@click.pass_obj
def report(choices: Choices, rollout: str, form: str, out: Path | None) -> None:
    """Report what became of a rollout: who, what, why, when, and every pool.

    It may be asked for at any time; of a rollout that is not over it tells where it stands.
    """
    console = Console(choices)
    no_names(console)
    if console.structured and form not in {"md", "json"}:
        raise UsageError(f"--format {form} and -o exclude each other", do="leave one of them out")
    facts = run_async(_facts, choices, rollout)
    if out is not None:
        write_own(out, _as(form, facts).encode())
        console.say(f"Report written to {out}")
    elif console.structured or form == "json":
        document(console, facts)
    else:
        console.out(_as(form, facts).rstrip("\n"))


async def _facts(choices: Choices, name: str) -> dict[str, Any]:
    async with reading(choices) as store:
        return facts_of(await gathered(store, await existing_rollout(store.rollouts, name)))


def _as(form: str, facts: dict[str, Any]) -> str:
    """Return the report in one of its forms; each form is loaded only when it is wanted."""
    match form:
        case "html":
            from worker.report.html import html  # noqa: PLC0415 - loads a template engine

            return html(facts)
        case "junit":
            from worker.report.junit import junit  # noqa: PLC0415 - loads an XML writer

            return junit(facts)
        case "csv":
            from worker.report.tabular import csv_text  # noqa: PLC0415 - like the others

            return csv_text(facts)
        case "json":
            from worker.cli.printing import SCHEMA, as_json  # noqa: PLC0415 - like the others

            return as_json({"schema": SCHEMA, **facts}, indent=2) + "\n"
        case _:
            from worker.report.markdown import markdown  # noqa: PLC0415 - like the others

            return markdown(facts)
