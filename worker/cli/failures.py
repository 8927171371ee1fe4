"""`plugwave failures`: what ended badly, grouped by cause, and what to do about each."""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from jobs.catalogue.entries import RETRY_WORDS, Language
from jobs.catalogue.lookup import near
from jobs.causes import CAUSES
from jobs.clock import seconds_to_us
from jobs.errors import NothingMatchedError
from jobs.model import Job
from jobs.report.failures import COUNTED_POOLS, FailureGroups, Group, ended
from jobs.states import BAD_STATES
from jobs.store.protocol import JobFilter, Store
from worker.cli.arguments import DurationType
from worker.cli.choices import Choices
from worker.cli.console import Console, counted
from worker.cli.lazy import PlugwaveCommand
from worker.cli.paragraphs import labelled
from worker.cli.printing import document, fitted, no_names, streamed
from worker.cli.session import reading, run_async
from worker.telling.failures import cause_fields, counted_states, plain

TITLE_CELLS: Final = 60
INDENT: Final = " " * 12
"""Four spaces and a label of eight."""

_NUMBER: Final = re.compile(r"[Cc]([1-9][0-9]{0,3})", re.ASCII)
_HASH: Final = re.compile(r"[0-9a-f]{6,12}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a command line asks for; ``since`` is seconds before now."""

    cause: str | None = None
    source: str | None = None
    since: float | None = None

    @property
    def word(self) -> str | None:
        """The cause, when it is one word and not one of the groups below it."""
        of_group = self.cause is None or _NUMBER.fullmatch(self.cause) or _is_hash(self.cause)
        return None if of_group else self.cause

    def takes(self, number: int, group: Group) -> bool:
        """Whether group *number* is asked for: all are, but for ``C2`` or a fingerprint."""
        if self.cause is None or self.word is not None:
            return True
        found = _NUMBER.fullmatch(self.cause)
        return number == int(found[1]) if found else group.hash.startswith(self.cause)


def _is_hash(text: str) -> bool:
    return text not in CAUSES and _HASH.fullmatch(text) is not None


@click.command(cls=PlugwaveCommand)
@click.option("--cause", help="Only this cause: a word, a number such as C2, or a fingerprint.")
@click.option("--source", help="Only jobs from this source.")
@click.option(
    "--since", type=DurationType(), help="Only jobs that ended in this time, such as 24h."
)
@click.pass_obj
def failures(choices: Choices, /, **asked: Any) -> None:  # noqa: ANN401 - click's values, named by Asked
    """Group failed and unresolved jobs by cause.

    Each cause is told with what the cloud said, why it probably happened, and what to do.
    """
    no_names(Console(choices))
    run_async(_failures, choices, Asked(**asked))


async def _failures(choices: Choices, asked: Asked) -> None:
    console = Console(choices)
    found = FailureGroups()
    async with reading(choices) as store:
        async for job in _matching(store, asked):
            found.add(job)
    every = list(enumerate(found.groups(), start=1))
    shown = [(number, group) for number, group in every if asked.takes(number, group)]
    if not shown and asked.cause is not None and asked.cause not in CAUSES:
        raise NothingMatchedError(f"no job failed with cause '{asked.cause}'", do=_instead(asked))
    if console.structured:
        _print_structured(console, shown, found.left_out)
    elif shown:
        _print_pages(console, shown, _Beside(every, asked), found.left_out)
    else:
        console.out("no job has failed" if asked == Asked() else "no failed job matches")


def _instead(asked: Asked) -> str:
    words = [name for name in near(asked.cause or "") if name in CAUSES]
    return f"did you mean '{words[0]}'?" if words else "see all causes: plugwave failures"


async def _matching(store: Store, asked: Asked) -> AsyncIterator[Job]:
    """Yield the jobs, oldest first; when they ended is not in the store's filter."""
    ended_after_us = None
    if asked.since is not None:
        ended_after_us = await store.now_us() - seconds_to_us(asked.since)
    matching = JobFilter(states=frozenset(BAD_STATES), cause=asked.word, source=asked.source)
    async for job in store.jobs(matching, newest_first=False):
        if ended_after_us is None or ended(job) >= ended_after_us:
            yield job


def _print_structured(console: Console, shown: Sequence[tuple[int, Group]], left_out: int) -> None:
    items = [cause_fields(number, group) for number, group in shown]
    if console.choices.output == "ndjson":
        with streamed(console, "failures", "causes") as write:
            for item in items:
                write(item)
        return
    counts = counted_states([group for _, group in shown])
    totals = {state.value: counts[state] for state in sorted(counts)}
    document(console, {"kind": "failures", "jobs": totals, "left_out": left_out, "causes": items})


@dataclass(frozen=True, slots=True)
class _Beside:
    """What a retry by cause word takes along that its group does not show."""

    every: Sequence[tuple[int, Group]]
    asked: Asked

    def words(self, number: int, group: Group) -> str:
        """Return a remark for the command, empty when it retries exactly the group."""
        others = [f"C{other}" for other, one in self.every if one.cause == group.cause]
        others.remove(f"C{number}")
        more = [", ".join(others)] if others else []
        if self.asked.source is not None or self.asked.since is not None:
            more.append("what --source and --since left out")
        return f"   (retries {' and '.join(more)} too)" if more else ""


def _print_pages(
    console: Console, shown: Sequence[tuple[int, Group]], beside: _Beside, left_out: int
) -> None:
    console.out(_headline([group for _, group in shown]))
    for number, group in shown:
        console.out()
        for line in page(number, group, beside.words(number, group), console):
            console.out(line)
    if left_out:
        console.say(f"and {counted(left_out, 'job')} of further causes; narrow it with --since")


def _headline(groups: Sequence[Group]) -> str:
    counts = counted_states(groups)
    told = [f"{counts[state]} {state}" for state in sorted(counts) if counts[state]]
    jobs = "job" if sum(counts.values()) == 1 else "jobs"
    return f"{' and '.join(told)} {jobs}, {counted(len(groups), 'cause')}"


def page(number: int, group: Group, remark: str, console: Console) -> list[str]:
    """Return one group as a person reads it."""
    told = group.found.text()
    title = fitted(plain(told.title), TITLE_CELLS, console.symbols.more)
    worth = RETRY_WORDS[Language.EN][group.found.retry]
    lines = [
        console.paint(f"C{number:<2} {title}   {counted(group.jobs, 'job')}   {worth}", "bold"),
        *_part("When", _when(group, console)),
        *_part("Cloud", group.cloud() or "-"),
        *_part("Likely", told.likely),
        *_part("Pools", _pools(group)),
    ]
    command = group.retry_command()
    lines += _part("Do", told.do if command is None else f"{told.do}, then")
    return lines if command is None else [*lines, f"{INDENT}{command}{remark}"]


def _when(group: Group, console: Console) -> str:
    first = console.moment(group.first_us)
    return first if group.jobs == 1 else f"first {first}, last {console.moment(group.last_us)}"


def _pools(group: Group) -> str:
    names = ", ".join(group.pools)
    more = group.pool_count - len(group.pools)
    least = "at least " if group.pool_count >= COUNTED_POOLS else ""
    return f"{names} and {least}{more} more" if more else names


def _part(label: str, text: str) -> list[str]:
    return labelled(label, plain(text), indent=4, label_cells=len(INDENT) - 4)
