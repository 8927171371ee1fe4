"""A fleet, the jobs for it, and what must come of them; the same for the same seed.

Most jobs upgrade a plug-in whose inputs differ from the template's defaults in places that
only a full, merged send keeps.  The rest install, reconfigure, ask for what is already
there, or leave the version open.  Some pools have two jobs for two plug-ins, so that the
one-writer rule has something to do.  Customised inputs hold a secret text.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.acceptance.chaos_fleet import digest, over
from tests.acceptance.evidence import Expected
from tests.planted import secret_input

Inputs = dict[str, Any]

TEMPLATES: Final[Mapping[str, Mapping[str, Any]]] = {
    "node-local-dns": {
        "versions": ["1.6.36", "1.6.63", "1.6.64"],
        "defaults": {
            "custom": {"enable_dnsconfig_admission": False, "ndots": "5", "password": ""},
            "flavor": {"name": "HA", "replicas": 2, "resources": [{"limitsCpu": "250m"}]},
        },
    },
    "os-node-agent": {
        "versions": ["7.2.0", "7.3.0-20250219120620"],
        "defaults": {
            "configs": {"metric_config": {"enable": True, "uplink": "both", "namespaces": []}},
            "prometheus": {"password": "", "port": "10120"},
        },
    },
}
PROJECTS: Final = 5
TWO_JOBS: Final = 0.12
"""Share of the pools that have a job for each of two plug-ins."""

KINDS: Final = {"upgrade": 12, "upgrade-inputs": 4, "install": 6, "reconfigure": 1, "as-wanted": 1}
"""What a job asks for, by weight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The cloud's state at the start, the job requests, the expectations, the secrets."""

    state: Mapping[str, Any]
    jobs: tuple[Mapping[str, Any], ...]
    expected: tuple[Expected, ...]
    secrets: tuple[str, ...]

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write the state and the jobs as files; return both paths."""
        state, jobs = folder / "fleet.json", folder / "jobs.jsonl"
        state.write_text(json.dumps(self.state), encoding="utf-8")
        jobs.write_text("".join(json.dumps(job) + "\n" for job in self.jobs), encoding="utf-8")
        return state, jobs


def make_scenario(jobs: int, *, seed: int) -> Scenario:
    """Return a scenario with that many jobs."""
    dice = random.Random(f"scenario {seed}")
    pools: list[dict[str, Any]] = []
    requests: list[dict[str, Any]] = []
    expected: list[Expected] = []
    secrets: list[str] = []
    while len(requests) < jobs:
        number = len(pools)
        pool: dict[str, Any] = {
            "project": f"{number % PROJECTS:032x}",
            "name": f"pool-{number:04d}-{dice.getrandbits(64):016x}",
            "plugins": {},
        }
        pools.append(pool)
        names = dice.sample(sorted(TEMPLATES), 2 if dice.random() < TWO_JOBS else 1)
        for name in names[: jobs - len(requests)]:
            secret = secret_input(f"{dice.getrandbits(80):020x}")
            secrets.append(secret)
            request, wanted = _job(pool, name, secret, len(requests), dice)
            requests.append(request)
            expected.append(wanted)
    return Scenario(
        state={"templates": TEMPLATES, "pools": pools},
        jobs=tuple(requests),
        expected=tuple(expected),
        secrets=tuple(secrets),
    )


def _job(
    pool: dict[str, Any], name: str, secret: str, number: int, dice: random.Random
) -> tuple[dict[str, Any], Expected]:
    """Return one request and what must come of it; put the plug-in into *pool* if it is there."""
    versions: list[str] = TEMPLATES[name]["versions"]
    defaults: Inputs = TEMPLATES[name]["defaults"]
    kind = dice.choices(list(KINDS), list(KINDS.values()))[0]
    present: Inputs = over(defaults, _customised(name, secret))
    if kind != "install":
        same = kind in {"reconfigure", "as-wanted"}
        pool["plugins"][name] = {
            "version": versions[-1] if same else dice.choice(versions[:-1]),
            "inputs": present,
            "shown": "values" if dice.random() < 0.2 else "spec",
        }
    plugin: dict[str, Any] = {"name": name}
    if dice.random() < 0.95:
        plugin["version"] = versions[-1]
    asked: Inputs = {}
    if kind in {"upgrade-inputs", "reconfigure", "install"}:
        asked = (
            {"custom": {"ndots": "8"}} if "custom" in defaults else {"prometheus": {"port": "1"}}
        )
        if kind == "install":
            asked = over(asked, _customised(name, secret))
        plugin["inputs"] = asked
    key = f"key-{number:05d}"
    wanted = Expected(
        key=key,
        project=pool["project"],
        pool=pool["name"],
        plugin=name,
        version=versions[-1],
        inputs=digest(over(defaults if kind == "install" else present, asked)),
        changes=kind != "as-wanted",
    )
    request = {
        "project_id": pool["project"],
        "pool_name": pool["name"],
        "plugin": plugin,
        "idempotency_key": key,
    }
    return request, wanted


def _customised(name: str, secret: str) -> Inputs:
    """Return inputs that differ from the defaults, deep down and in a list."""
    if name == "node-local-dns":
        return {
            "custom": {"password": secret, "search": "1321"},
            "flavor": {"resources": [{"limitsCpu": "500m"}, {"limitsMem": "512Mi"}]},
        }
    return {
        "configs": {"metric_config": {"namespaces": ["monitoring"], "backNodeUp": True}},
        "prometheus": {"password": secret},
    }
