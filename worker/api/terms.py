"""What a token may: scopes, projects, plug-ins, regions and how much.  Rules over values.

viewer      sees everything
submit      queues jobs, and sees those that it has queued itself
operator    viewer and submit; retries, cancels, starts and steers rollouts
approver    viewer; approves waves
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from jobs.model import Job, JobRequest


class Scope(StrEnum):
    """One thing that a token may be for."""

    VIEWER = "viewer"
    SUBMIT = "submit"
    OPERATOR = "operator"
    APPROVER = "approver"


GRANTS: Final[Mapping[Scope, frozenset[Scope]]] = MappingProxyType(
    {
        Scope.VIEWER: frozenset({Scope.VIEWER}),
        Scope.SUBMIT: frozenset({Scope.SUBMIT}),
        Scope.OPERATOR: frozenset({Scope.OPERATOR, Scope.VIEWER, Scope.SUBMIT}),
        Scope.APPROVER: frozenset({Scope.APPROVER, Scope.VIEWER}),
    }
)
"""What each scope includes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a caller may.

    Attributes:
        scopes: What it is for.
        projects: The only projects whose jobs it queues and sees; empty for all.
        plugins: The only plug-ins it queues; empty for all.
        regions: The only regions it queues for; empty for all.
        per_minute: Jobs it may queue in a minute; None for no limit.
        per_day: Jobs it may queue in a day; None for no limit.
    """

    scopes: frozenset[Scope]
    projects: frozenset[str] = frozenset()
    plugins: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    per_minute: int | None = None
    per_day: int | None = None

    @property
    def granted(self) -> frozenset[Scope]:
        """The scopes with all that they include."""
        return frozenset(one for scope in self.scopes for one in GRANTS[scope])

    def as_dict(self) -> dict[str, Any]:
        """Return the terms as the store and JSON have them."""
        return {
            "scopes": sorted(self.scopes),
            "projects": sorted(self.projects),
            "plugins": sorted(self.plugins),
            "regions": sorted(self.regions),
            "per_minute": self.per_minute,
            "per_day": self.per_day,
        }


def terms_of(stored: Mapping[str, Any]) -> Terms:
    """Return the terms that `Terms.as_dict` wrote; a scope of a newer program grants nothing."""
    known = set(Scope)
    return Terms(
        scopes=frozenset(Scope(word) for word in stored.get("scopes", ()) if word in known),
        projects=frozenset(stored.get("projects", ())),
        plugins=frozenset(stored.get("plugins", ())),
        regions=frozenset(stored.get("regions", ())),
        per_minute=stored.get("per_minute"),
        per_day=stored.get("per_day"),
    )


EVERYTHING: Final = Terms(scopes=frozenset(Scope))
"""What this machine's own people may, where no login is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks: ``name`` is the token's, None for whoever asks from this machine."""

    name: str | None
    terms: Terms
    where: str

    @property
    def source(self) -> str:
        """The source of its jobs, which is the scope of its idempotency keys."""
        return "http" if self.name is None else f"http:{self.name}"

    @property
    def by(self) -> str:
        """How records name it."""
        return self.source


class Reach(StrEnum):
    """How much of what a route shows or changes a caller may touch."""

    NOTHING = "nothing"
    OWN = "own"  # the jobs that it has queued itself
    ALL = "all"  # of its projects, where it is limited to some


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a route asks of its callers.

    Attributes:
        scope: The scope that is needed; None for nobody in particular.
        own: Whether `submit` is enough for one's own jobs.
        fleet: Whether the route touches all projects at once, so that a caller who is limited
            to some may not use it.
    """

    scope: Scope | None
    own: bool = False
    fleet: bool = False


ANYBODY: Final = Needs(scope=None)
VIEW: Final = Needs(scope=Scope.VIEWER)
VIEW_FLEET: Final = Needs(scope=Scope.VIEWER, fleet=True)
VIEW_OWN: Final = Needs(scope=Scope.VIEWER, own=True)
SUBMIT: Final = Needs(scope=Scope.SUBMIT)
OPERATE_OWN: Final = Needs(scope=Scope.OPERATOR, own=True)
OPERATE_FLEET: Final = Needs(scope=Scope.OPERATOR, fleet=True)
APPROVE: Final = Needs(scope=Scope.APPROVER, fleet=True)


def reach_of(needs: Needs, terms: Terms) -> Reach:
    """Return how far a caller with these terms reaches on a route."""
    if needs.scope is None:
        return Reach.ALL
    if needs.scope in terms.granted:
        return Reach.NOTHING if needs.fleet and terms.projects else Reach.ALL
    if needs.own and Scope.SUBMIT in terms.granted:
        return Reach.OWN
    return Reach.NOTHING


def may_see(caller: Caller, reach: Reach, job: Job) -> bool:
    """Whether this job exists for the caller."""
    projects = caller.terms.projects
    if projects and job.request.target.project_id not in projects:
        return False
    return reach is Reach.ALL or (reach is Reach.OWN and job.request.source == caller.source)


def why_not_queued(terms: Terms, request: JobRequest) -> str | None:
    """Return why the caller may not queue this request; None when it may."""
    target, plugin = request.target, request.plugin.name
    if terms.projects and target.project_id not in terms.projects:
        return f"this token queues no jobs for project {target.project_id}"
    if terms.plugins and plugin not in terms.plugins:
        return f"this token queues no jobs for plug-in {plugin}"
    if terms.regions and target.region not in terms.regions:
        return f"this token queues no jobs for region {target.region or '(none)'}"
    return None
