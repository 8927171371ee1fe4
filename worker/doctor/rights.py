"""What we may: the projects, their pools, what may be installed on one of them.

Only questions are asked.  The first refusal ends it: a secret is shown to the cloud once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jobs.errors import ConfigError
from jobs.outcomes import Answer, Outcome
from worker.credentials.sources import Kind
from worker.discovery import Discovery, Fleet, Place
from worker.doctor.lines import CheckLine, error_of

PROJECTS: Final = 10
"""How many projects are read: enough to see that it works, and two seconds at the usual rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Where to look: *project* was named by *named_by*; without one IAM is asked."""

    kind: Kind
    project: str | None = None
    named_by: str = ""
    region: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What was seen; *let_in* says that ModelArts accepted the credential and answered."""

    lines: tuple[CheckLine, ...]
    let_in: bool = False


async def look(discovery: Discovery, wanted: Wanted) -> Rights:
    """Find the projects, then count pools and templates."""
    if wanted.project is not None:
        places: Sequence[Place] = (Place(project_id=wanted.project, region=wanted.region),)
        project = CheckLine.ok("project", f"{wanted.project} (named by {wanted.named_by})")
    else:
        found = await _through_iam(discovery, wanted)
        if isinstance(found, CheckLine):
            return Rights(lines=(found, _not_read("without a project")))
        places, project = found
    fleet = await discovery.pools(places[:PROJECTS])
    line, let_in = await _count(discovery, fleet, len(places))
    return Rights(lines=(project, line), let_in=let_in)


def _not_read(why: str) -> CheckLine:
    return CheckLine.skip("read", f"not tried {why}")


async def _through_iam(
    discovery: Discovery, wanted: Wanted
) -> tuple[Sequence[Place], CheckLine] | CheckLine:
    """Return the projects that IAM knows with the line about them, or why there are none."""
    found = await discovery.places(wanted.region)
    if isinstance(found, Answer):
        return CheckLine.fail("project", error_of(found, "IAM does not tell the projects"))
    if not found:
        where = "" if wanted.region is None else f" in region {wanted.region}"
        return CheckLine.fail(
            "project",
            ConfigError(
                f"IAM knows no project of this credential{where}",
                do="name another region, or a project: --region R, --project P",
            ),
        )
    if wanted.kind is Kind.TOKEN and len({place.region for place in found}) > 1:
        # A token is of one region; asked of another, the cloud says that it has ended.
        return CheckLine.fail(
            "project",
            ConfigError(
                "the projects are in several regions, and a token is good for one",
                do="name the region: --region R or cloud.region",
            ),
        )
    many = found[0].project_id if len(found) == 1 else f"{len(found)} projects"
    return found, CheckLine.ok("project", f"{many} found through IAM")


async def _count(discovery: Discovery, fleet: Fleet, known: int) -> tuple[CheckLine, bool]:
    """Return the line about pools and templates, and whether anything could be read."""
    refused = next((one for one in fleet.troubles if _is_final(one.answer)), None)
    read = fleet.asked - len(fleet.troubles) - len(fleet.absent)
    if not read or refused is not None:
        return _unread(fleet), False
    text = _number(len(fleet.pools), "pool")
    if known > 1:
        text += f" in {read} of {known} projects"
    if fleet.pools:
        first = next((one for one in fleet.pools if one.blocked is None), fleet.pools[0])
        offers = await discovery.offers(first.target)
        if isinstance(offers, Answer):
            return CheckLine.fail("read", error_of(offers, "plug-in templates are not shown")), True
        text += f", {_number(len(offers), 'plug-in template')}"
    if fleet.troubles:
        trouble = fleet.troubles[0]
        what = f"{text}; {trouble.place.project_id} could not be read"
        return CheckLine.warn("read", str(error_of(trouble.answer, what))), True
    return CheckLine.ok("read", text), True


def _is_final(answer: Answer) -> bool:
    return answer.outcome is Outcome.UNAUTHENTICATED


def _unread(fleet: Fleet) -> CheckLine:
    for trouble in (*fleet.troubles, *fleet.absent):
        where = trouble.place.project_id
        return CheckLine.fail(
            "read", error_of(trouble.answer, f"the pools of {where} could not be read")
        )
    return CheckLine.fail("read", ConfigError("there was no project to read"))


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
