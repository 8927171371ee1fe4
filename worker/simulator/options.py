"""How the simulated cloud behaves: every choice, with its unit and its reason.

Most choices can be changed while it runs (`changed`); what the fleet was made from cannot.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

from jobs.errors import ConfigError
from worker.simulator.throttle import LimitKind, LimitScope, Permitted

Site = Literal["cn", "eu"]
PostMode = Literal["upsert", "conflict-409", "conflict-400", "no-op"]
AnswerShape = Literal["bare", "full"]
ValuesShape = Literal["absent", "text", "object"]
Auth = Literal["none", "aksk", "token", "any"]
Metadata = Literal["open", "hardened", "no-agency", "off"]

WRITE_FAULTS: Final = (
    "lost_before",
    "lost_after",
    "late",
    "error_before",
    "error_after",
    "html",
    "truncated",
    "empty",
    "wrong_type",
    "slow",
)
"""Rates that share one draw for each write, so their sum may not exceed 1."""

_RATES: Final = (
    *WRITE_FAULTS,
    "read_faults",
    "bad_pools",
    "odd_pools",
    "installed",
    "unknown_phase",
    "offer_gaps",
    "iam_faults",
)
_FLAGS: Final = ("open_fleet", "keep_inputs", "hide_inputs", "retry_after", "limit_unnamed")
_COUNTS: Final = ("projects", "pools", "seed", "users", "key_pairs")
_AT_LEAST_ONE: Final = ("accounts", "workspaces")
_LIMITS: Final = ("limit", "daily_quota")
_SECONDS: Final = ("fail_s", "creating_s", "lag_s", "late_s", "slow_s", "lock_s", "skew_s")
_MORE_THAN_ZERO: Final = ("token_life_s", "limit_window_s", "speed")
_RANGES: Final = ("install_s", "upgrade_s")
_CHOICES: Final[Mapping[str, tuple[object, ...]]] = MappingProxyType(
    {
        "site": get_args(Site),
        "post_mode": get_args(PostMode),
        "answer_shape": get_args(AnswerShape),
        "values_shape": get_args(ValuesShape),
        "answer_status": (200, 201, 202),
        "auth": get_args(Auth),
        "metadata": get_args(Metadata),
        "limit_kind": get_args(LimitKind),
        "limit_scope": get_args(LimitScope),
    }
)

FIXED: Final = frozenset(
    {
        "projects",
        "pools",
        "seed",
        "region",
        "installed",
        "odd_pools",
        "workspaces",
        "accounts",
        "users",
        "key_pairs",
    }
)
"""What the fleet and its owners were made from; it cannot change while the simulator runs."""

MOST_POOLS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorOptions:
    """The behaviour of one simulated cloud.

    Phases run in simulated seconds, ``speed`` of them in a real second; answers, faults
    and throttle windows stay in real time.  A rate or fraction is between 0 and 1.

    Attributes:
        projects: How many projects there are.
        pools: How many pools each project has.
        speed: Simulated seconds in a real second.
        seed: Names, faults and durations follow from it.
        region: What pools, zones and generated jobs say.
        site: ``cn`` has no show, patch and delete of a plug-in; ``eu`` has.
        open_fleet: Unknown projects and pools come into being on first contact.
        installed: Fraction of pools that have the plug-ins in their oldest version, with
            inputs that are not the defaults.
        odd_pools: Fraction of pools that are Creating, Abnormal or frozen, in turn.
        workspaces: Over how many workspaces the pools are dealt out; a write to a pool
            outside of workspace 0 is not authorised.
        offer_gaps: Fraction of pools on which some plug-ins, or their newest version, are not
            on offer.
        bad_pools: Fraction of pools on which an install or upgrade ends Abnormal.
        install_s: Shortest and longest install.
        upgrade_s: Shortest and longest upgrade.
        fail_s: How long a change on a bad pool takes to end Abnormal.
        creating_s: How long a Creating pool takes to be Running, from the start.
        lag_s: How long the old Running is still shown after an accepted upgrade.
        unknown_phase: Fraction of changes that show an undocumented phase half-way.
        post_mode: What a POST on an installed plug-in does.
        keep_inputs: Inputs that are not sent keep their value instead of being reset.
        answer_shape: Whether a create answer tells metadata and status.
        answer_status: Status of an accepted create.
        values_shape: How list and show tell the inputs a second time.
        hide_inputs: List items tell neither inputs nor the spec's version.
        limit: Requests a credential may make in a window; None is no limit.
        limit_window_s: Real seconds of that window.
        limit_kind: How it is counted; see `worker.simulator.throttle`.
        limit_scope: For whom: each ``user`` or each ``project``.
        limit_unnamed: The text of a 429 tells neither limit nor window.
        retry_after: A 429 carries ``Retry-After``.
        daily_quota: Requests a credential may make in a day (UTC).
        lost_before: The connection is reset before the effect.
        lost_after: The effect is done, then the connection is reset.
        late: The connection is reset at once, the effect comes up to ``late_s`` later.
        late_s: Real seconds.
        error_before: 500, 502, 503 or 504 without effect.
        error_after: The same, with effect.
        html: An HTML page with 200 or 502; in half of the cases with effect.
        truncated: The effect is done, the answer breaks off.
        empty: The effect is done, the answer is 200 without a body.
        wrong_type: The effect is done, the answer is JSON of the wrong types.
        slow: The effect is done, the answer comes ``slow_s`` later.
        slow_s: Real seconds.
        read_faults: A GET is answered 500, reset or cut.
        auth: How a request must prove who asks: ``none`` checks nothing, ``any`` takes a
            signature or a token.
        accounts: Over how many accounts projects and users are dealt out.
        users: Users with a password; requests are throttled for each of them.
        key_pairs: Key pairs, dealt out over the users.
        token_life_s: Real seconds a token lives; a temporary key lives no longer.
        lock_s: Real seconds a key is locked after more than five wrong signatures in a row.
        skew_s: Real seconds a signature's date may differ from our clock.
        metadata: Whether the metadata service hands out keys, and whether it wants a token.
        iam_faults: A call to IAM, metadata or pod identity is answered 503.
    """

    projects: int = 3
    pools: int = 8
    speed: float = 1.0
    seed: int = 0
    region: str = "cn-north-4"
    site: Site = "cn"
    open_fleet: bool = False
    installed: float = 0.0
    odd_pools: float = 0.0
    workspaces: int = 1
    offer_gaps: float = 0.0
    bad_pools: float = 0.0
    install_s: tuple[float, float] = (20.0, 60.0)
    upgrade_s: tuple[float, float] = (30.0, 90.0)
    fail_s: float = 600.0
    creating_s: float = 300.0
    lag_s: float = 0.0
    unknown_phase: float = 0.0
    post_mode: PostMode = "upsert"
    keep_inputs: bool = False
    answer_shape: AnswerShape = "bare"
    answer_status: Literal[200, 201, 202] = 200
    values_shape: ValuesShape = "absent"
    hide_inputs: bool = False
    limit: int | None = None
    limit_window_s: float = 1.0
    limit_kind: LimitKind = "sliding"
    limit_scope: LimitScope = "user"
    limit_unnamed: bool = False
    retry_after: bool = False
    daily_quota: int | None = None
    lost_before: float = 0.0
    lost_after: float = 0.0
    late: float = 0.0
    late_s: float = 5.0
    error_before: float = 0.0
    error_after: float = 0.0
    html: float = 0.0
    truncated: float = 0.0
    empty: float = 0.0
    wrong_type: float = 0.0
    slow: float = 0.0
    slow_s: float = 2.0
    read_faults: float = 0.0
    auth: Auth = "none"
    accounts: int = 1
    users: int = 2
    key_pairs: int = 2
    token_life_s: float = 86_400.0
    lock_s: float = 300.0
    skew_s: float = 900.0
    metadata: Metadata = "open"
    iam_faults: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            ConfigError: If a value is outside its bounds.
        """
        _check_each(self)
        if sum(getattr(self, name) for name in WRITE_FAULTS) > 1.0 + 1e-9:
            raise ConfigError("the rates of the write faults add up to more than 1")
        if self.projects * self.pools > MOST_POOLS:
            raise ConfigError(f"more than {MOST_POOLS} pools", pools=self.projects * self.pools)

    @property
    def permitted(self) -> Permitted | None:
        """What the limit lets through; None without one."""
        if self.limit is None:
            return None
        return Permitted(
            limit=self.limit,
            window_s=self.limit_window_s,
            kind=self.limit_kind,
            scope=self.limit_scope,
            named=not self.limit_unnamed,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return every option by name, as JSON takes it."""
        return asdict(self)


def changed(options: SimulatorOptions, wanted: Mapping[str, Any]) -> SimulatorOptions:
    """Return *options* with what is *wanted* of a running simulator.

    Raises:
        ConfigError: If a name is unknown or fixed, or a value is outside its bounds.
    """
    known = options.as_dict()
    for name in wanted:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ConfigError(f"unknown option {name!r}{hint}")
        if name in FIXED:
            raise ConfigError(f"{name} cannot change while the simulator runs")
    # JSON has no tuples.
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in wanted.items()
    }
    return replace(options, **values)


def _check_each(options: SimulatorOptions) -> None:
    """Check every value by the table its name stands in."""
    for name in _RATES:
        _insist(options, name, _is_number(value := getattr(options, name)) and 0 <= value <= 1)
    for name in _FLAGS:
        _insist(options, name, isinstance(getattr(options, name), bool))
    for name in _COUNTS:
        _insist(options, name, _is_whole(value := getattr(options, name)) and value >= 0)
    for name in _AT_LEAST_ONE:
        _insist(options, name, _is_whole(value := getattr(options, name)) and value >= 1)
    for name in _LIMITS:
        value = getattr(options, name)
        _insist(options, name, value is None or (_is_whole(value) and value >= 1))
    for name in _SECONDS:
        _insist(options, name, _is_number(value := getattr(options, name)) and value >= 0)
    for name in _RANGES:
        _insist(options, name, _is_range(getattr(options, name)))
    for name, choices in _CHOICES.items():
        value = getattr(options, name)
        _insist(options, name, value in choices and not isinstance(value, bool))
    for name in _MORE_THAN_ZERO:
        _insist(options, name, _is_number(value := getattr(options, name)) and value > 0)
    _insist(options, "region", bool(options.region))


def _insist(options: SimulatorOptions, name: str, holds: bool) -> None:  # noqa: FBT001 - a claim
    if not holds:
        raise ConfigError(f"{name} cannot be {getattr(options, name)!r}", option=name)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_range(value: object) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and all(_is_number(bound) for bound in value)
        and 0 <= value[0] <= value[1]
    )
