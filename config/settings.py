"""Every number an operator may decide, with its unit and its reason.

The docstring under each field is its manual: help texts and the settings page are made
from it (`config.describing`).  Durations are written ``90s``, ``45m`` or as plain seconds
and are seconds from here on.  A part of the program receives its own section, never the
whole, and never reads the environment; where values come from is `config.loading`.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Self

import platformdirs
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from config.addresses import (
    StoreEngine,
    checked_store_url,
    is_loopback,
    sqlite_path,
    store_engine,
)
from config.approvals import ApprovalSettings
from config.choices import Auth, LogFormat, LogLevel, ReadFirst, Upgrade
from config.fairness import FairnessSettings
from config.fields import (
    AUTO,
    Count,
    Duration,
    Endpoint,
    Factor,
    Permitted,
    PositiveDuration,
    Quota,
    Rate,
    Region,
    Section,
    UserPath,
)
from config.profiles import PROFILES, ProfileName, ProfileSettings
from config.serving import ServerSettings
from jobs.learning import AUTO_START_PER_S
from jobs.names import is_name
from jobs.retention import DAY_S, Retention

SELF_FENCE_SHARE: Final = 0.6
"""Part of its lease after which a worker that could not renew it stops sending."""

HEARTBEATS_IN_A_LEASE: Final = 4
"""A lease outlives three lost heartbeats."""


def _worker_name(text: str) -> str:
    if not is_name(text):
        raise ValueError("use letters, digits, dot, dash and underscore, at most 128 of them")
    return text


def _store_url(url: SecretStr) -> SecretStr:
    return SecretStr(checked_store_url(url.get_secret_value()))


def _secret(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text.isprintable() or not text.isascii() or " " in text:
        raise ValueError("a token is one line of printable characters without spaces")
    return value


def _log_file(value: object) -> object:
    return None if value in ("stderr", "-") else value


def default_store_url(state: Path | None = None) -> SecretStr:
    """Return the address of ``state.db`` in the folder *state*, or in the user's state folder."""
    folder = state or platformdirs.user_state_path("plugwave")
    return SecretStr(f"sqlite:///{folder / 'state.db'}")


class StoreSettings(Section):
    """Where accepted jobs are kept."""

    url: Annotated[SecretStr, AfterValidator(_store_url)] = Field(
        default_factory=default_store_url,
        json_schema_extra={"shown": "SQLite in the state folder", "address": True},
    )
    """The queue's database: `sqlite:///PATH` for one machine, `postgresql://…` for several. The
    default is `state.db` in `$XDG_STATE_HOME/plugwave` or `~/.local/state/plugwave`; without a
    home, as in a system service, in `/var/lib/plugwave`."""

    url_file: UserPath | None = None
    """A file that holds `store.url`, for addresses with a password."""

    keep_finished: Duration = 30 * DAY_S
    """How long an ended job is kept, with its inputs and history; 0 is for ever."""

    keep_keys: Duration = 30 * DAY_S
    """How long a key is known after its job ended, at least as long as the job; 0 is for ever."""

    prune_every: PositiveDuration = 600.0
    """How often one of the workers looks for what has become old enough to go."""

    @property
    def retention(self) -> Retention:
        """What `keep_finished` and `keep_keys` say."""
        return Retention(finished_s=self.keep_finished, keys_s=self.keep_keys)

    @property
    def engine(self) -> StoreEngine:
        """The database that `url` names."""
        return store_engine(self.url.get_secret_value())

    @property
    def sqlite_path(self) -> Path | None:
        """The file of a SQLite store, None for another engine."""
        return sqlite_path(self.url.get_secret_value())


class CloudSettings(Section):
    """How the cloud is reached, and how fast."""

    endpoint: Endpoint | None = None
    """Base URL of the ModelArts API, `https://HOST[:PORT]`; plain http only for this machine.
    Without it the address follows from the region."""

    endpoints: Mapping[Region, Endpoint] = Field(default_factory=dict)
    """The same for one region each; wins over `endpoint` for jobs of that region. Without
    `endpoint`, what is set for the official SDK counts for regions that have none here:
    `HUAWEICLOUD_SDK_REGION_MODELARTS_<REGION>`, then `~/.huaweicloud/regions.yaml`."""

    region: Region | None = None
    """Region of jobs that name none, decided when they are taken in; a profile's own goes first."""

    auth: Auth = Auth.AUTO
    """`auto` takes the first complete source of credentials, `aksk` the first key pair, `token`
    the token given here; `none` is for a simulator on this machine."""

    token: Annotated[SecretStr, AfterValidator(_secret)] | None = None
    """An IAM token for `auth = "token"`; it ends within a day, so prefer a key pair."""

    token_file: UserPath | None = None
    """A file that holds `cloud.token`."""

    profile: ProfileName | None = None
    """The entry of `profiles` whose credentials are used; without it the first complete source."""

    metadata: bool = False
    """Ask the metadata service of an ECS for the credentials of its agency when no other source
    has any; off, because elsewhere the question only costs a time-out."""

    iam_endpoint: Endpoint | None = None
    """Base URL of IAM, which hands out tokens and temporary keys. Without it the address follows
    from the region; for an endpoint on this machine, that endpoint."""

    rate: Permitted = 5.0
    """Requests a second for each credential and endpoint; 0.5 is one every two seconds, `500/10s`
    a limit that is counted in ten seconds. The cloud documents no limit; 5 is careful, and a 429
    teaches every worker a lower one. `auto` finds it: it begins with 5 and is raised until a 429
    says no."""

    rate_per_project: Rate = 0.0
    """The same for each project, so that one cannot use up the rate of all; 0 is no own limit."""

    burst: Count = 1
    """Requests that may leave at once after a pause. Above 1 only when the limit is known to be a
    token bucket: a fixed window would be exceeded."""

    max_in_flight: Count = 64
    """Open requests for each endpoint; more only wait inside the cloud."""

    jitter: Duration = 0.028
    """By how much the network may shift arrivals; requests are spaced that much wider, so that no
    window of the server ever holds more than the limit."""

    settle: Duration = 90.0
    """How long a request whose answer was lost may still take effect. Only a read that starts
    later proves anything, so a lower value risks sending twice."""

    request_timeout: PositiveDuration = 30.0
    """How long one request may take, from connecting to the last byte."""

    poll_first: PositiveDuration = 5.0
    """Wait before the first look at an accepted change."""

    poll_factor: Factor = 1.5
    """By how much the wait grows from look to look; at least 1."""

    poll_max: PositiveDuration = 30.0
    """The longest wait between two looks."""

    poll_learned: Duration = 60.0
    """Where a worker has learned how long a plug-in usually takes, it looks first when that is
    over, and never waits for longer than this; 0 looks as if it did not know."""

    upgrade: Upgrade = Upgrade.AUTO
    """How an installed plug-in is changed: `post`, `patch`, or `auto` (post, then patch where the
    site has it)."""

    read_first: ReadFirst = ReadFirst.ALWAYS
    """`always` looks at the pool before sending; `when-unsure` sends at once when nobody has
    touched the pool since the last look: one request fewer."""

    trust_env: bool = False
    """Use the proxy of `HTTPS_PROXY`; off, lest a stray variable lead signed requests away."""

    ca_file: UserPath | None = None
    """PEM file with the authorities to trust instead of the system's, for private clouds."""

    stale_after: PositiveDuration = 300.0
    """How long an accepted change may show no effect before it is treated like a lost answer."""

    missing_after: PositiveDuration = 60.0
    """How long an accepted plug-in may be absent from the list before that counts as no effect."""

    abnormal_grace: Duration = 30.0
    """How long `Abnormal` must last, in several reads, before it counts as failed: a node that
    comes back takes a plug-in from it to `Running`."""

    breaker: PositiveDuration = 15.0
    """How long a job rests when the cloud refused its credential or its endpoint is not the
    ModelArts API; then it looks whether that is over."""

    unreachable_after: PositiveDuration = 60.0
    """`work --until-empty` gives up with exit code 9 when no request got an answer for this
    long; without that option a worker waits on."""

    @property
    def rate_per_s(self) -> float:
        """What `rate` says in requests a second; with `auto` where it begins."""
        if isinstance(self.rate, Quota):
            return self.rate.per_s
        return AUTO_START_PER_S if self.rate == AUTO else self.rate

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        if self.poll_max < self.poll_first:
            raise ValueError("cloud.poll_max is below cloud.poll_first; lower poll_first as well")
        if self.auth is Auth.TOKEN and self.token is None and self.profile is None:
            raise ValueError(
                "cloud.auth is token, none is given; set cloud.token_file or PLUGWAVE_CLOUD__TOKEN"
            )
        if self.auth is Auth.NONE:
            self._check_simulated()
        return self

    def _check_simulated(self) -> None:
        if self.endpoint is None:
            raise ValueError(
                "cloud.auth is none, which needs cloud.endpoint, such as http://127.0.0.1:8788"
            )
        if not all(is_loopback(url) for url in (self.endpoint, *self.endpoints.values())):
            raise ValueError(
                "cloud.auth is none, which works only with a cloud.endpoint on this machine; "
                "set cloud.auth to auto"
            )


class WorkerSettings(Section):
    """How one worker process behaves."""

    name: Annotated[str, AfterValidator(_worker_name)] | None = None
    """What this worker is called in logs and lists; without it host name and process id."""

    slots: Annotated[Count, Field(le=100_000)] = 256
    """Jobs in hand at a time in one process. A slot mostly waits, so many are cheap; the rate is
    what limits."""

    lease: Annotated[Duration, Field(ge=2)] = 20.0
    """How long a silent worker keeps its jobs from others; at least 2 s. Shorter recovers sooner,
    longer forgives a slow store."""

    heartbeat: PositiveDuration = 5.0
    """How often the lease is renewed; never less often than four times in a lease, whatever is
    set here."""

    drain: Duration = 600.0
    """How long a stopping worker waits for its requests in flight before it hands back."""

    @property
    def effective_heartbeat(self) -> float:
        """Seconds between renewals: `heartbeat`, or a quarter of the lease if that is less."""
        return min(self.heartbeat, self.lease / HEARTBEATS_IN_A_LEASE)

    @property
    def self_fence_after(self) -> float:
        """Seconds since the last renewal after which this worker must send nothing more."""
        return SELF_FENCE_SHARE * self.lease


class JobsSettings(Section):
    """What holds for every job that does not say otherwise."""

    deadline: PositiveDuration = 2700.0
    """Time from the first claim to a final state. The cloud itself gives up an install after 10
    minutes, so stay well above that."""

    attempts: Annotated[Count, Field(le=1000)] = 10
    """Sends of one job that may have had an effect before it is given up; requests that never
    left and answers 429 do not count."""


class LogSettings(Section):
    """Where log lines go and how they look."""

    format: LogFormat = LogFormat.AUTO
    """`pretty` for people, `json` for machines; `auto` is pretty on a terminal, JSON elsewhere."""

    file: Annotated[UserPath | None, BeforeValidator(_log_file)] = Field(
        default=None, json_schema_extra={"shown": "stderr"}
    )
    """A file to append to, made readable for its owner alone; `stderr` for none. Rotate it by
    copying and truncating."""

    level: LogLevel = LogLevel.INFO
    """The least important lines that are written: `debug`, `info`, `warning`, `error`."""


class Settings(Section):
    """Everything an operator may decide."""

    store: StoreSettings = Field(default_factory=StoreSettings)
    cloud: CloudSettings = Field(default_factory=CloudSettings)
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    jobs: JobsSettings = Field(default_factory=JobsSettings)
    fairness: FairnessSettings = Field(default_factory=FairnessSettings)
    server: ServerSettings = Field(default_factory=ServerSettings)
    logs: LogSettings = Field(default_factory=LogSettings)
    approvals: ApprovalSettings = Field(default_factory=ApprovalSettings)

    profiles: Mapping[ProfileName, ProfileSettings] = Field(default_factory=dict)
    """Accounts by the names that jobs and `cloud.profile` use for them."""

    @model_validator(mode="after")
    def _profile_exists(self) -> Self:
        wanted = self.cloud.profile
        if wanted is not None and wanted not in self.profiles:
            known = ", ".join(sorted(self.profiles)) or "none"
            near = get_close_matches(wanted, self.profiles, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"cloud.profile names no entry of profiles (there are: {known}){hint}")
        return self

    @model_validator(mode="after")
    def _simulated_profiles_stay_here(self) -> Self:
        if self.cloud.auth is Auth.NONE:
            for name, profile in self.profiles.items():
                if profile.endpoint is not None and not is_loopback(profile.endpoint):
                    raise ValueError(
                        f"cloud.auth is none, and profiles.{name}.endpoint is not on this machine"
                    )
        return self

    def cloud_of(self, profile: str | None = None) -> CloudSettings:
        """Return the cloud as a profile sees it: its own region and endpoint go first.

        Without a name it is the profile that `cloud.profile` selects, if any.

        Raises:
            KeyError: If there is no such profile.
        """
        name = profile or self.cloud.profile
        if name is None:
            return self.cloud
        own = self.profiles[name]
        changes: dict[str, Any] = {}
        if own.region is not None:
            changes["region"] = own.region
        if own.endpoint is not None:
            # The other addresses are those of another cloud, and no credential may go there.
            changes |= {"endpoint": own.endpoint, "endpoints": {}, "iam_endpoint": None}
        if own.iam_endpoint is not None:
            changes["iam_endpoint"] = own.iam_endpoint
        return self.cloud.model_copy(update=changes)


def sections() -> Mapping[str, type[Section]]:
    """Return the classes of the fixed sections by name, in their order."""
    fields: dict[str, Any] = {name: info.annotation for name, info in Settings.model_fields.items()}
    return {name: found for name, found in fields.items() if name != PROFILES}
