"""Manifests, pools and runs for the tests of rollouts."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from config.masking import masked_inputs
from jobs.model import Inputs, PluginSeen, PoolSeen, Target
from jobs.rollouts.manifest import Manifest
from jobs.rollouts.observed import Observed, Offer
from jobs.rollouts.pace import startable
from jobs.rollouts.planning import Terms
from jobs.rollouts.reading import read_manifest
from jobs.rollouts.stopping import Rule, Tally, verdict
from tests.builders import NOON_US, PROJECT

HERE = Path(__file__).parent
FULL = (HERE / "full.rollout.yaml").read_text(encoding="utf-8")
TERMS = Terms(now_us=NOON_US, mask=masked_inputs)
REST: Mapping[str, Any] = {"name": "rest", "pick": {"rest": True}}
OFFERS = ("1.6.64", "1.6.63", "1.6.36")


def a_manifest(version: str = "1.6.63", **spec: Any) -> Manifest:
    """Return a manifest; *spec* are further fields of its spec, *plugin* those of the plug-in."""
    plugin = {"name": "node-local-dns", "version": version, **spec.pop("plugin", {})}
    body = {
        "apiVersion": "plugwave/v1",
        "kind": "Rollout",
        "metadata": {"name": "a-rollout"},
        "spec": {"plugin": plugin, "waves": [REST], "stop": [], **spec},
    }
    return read_manifest(orjson.dumps(body), "a.yaml")


def a_pool(  # every fact of a pool that a plan looks at
    number: int = 1,
    *,
    installed: str | None = "1.6.36",
    inputs: Inputs | None = {"custom": {"ndots": "8"}},  # noqa: B006 - never changed
    region: str | None = "cn-north-4",
    project: str = PROJECT,
    labels: Mapping[str, str] | None = None,
    offers: Sequence[str] | None = OFFERS,
    phase: str = "Running",
    **more: Any,
) -> Observed:
    """Return pool *number* as observed; *more* are further fields of `Observed`."""
    name = f"pool-{number:04d}"
    plugin = PluginSeen(name="node-local-dns", version=installed, phase=phase, inputs=inputs)
    facts: dict[str, Any] = {
        "pool": PoolSeen(
            name=name, display_name=f"shown-{number:04d}", phase="Running", labels=labels or {}
        ),
        "plugin": None if installed is None else plugin,
        "looked": True,
        "offers": None
        if offers is None
        else tuple(Offer(version=one, defaults={"custom": {"ndots": "3"}}) for one in offers),
        **more,
    }
    return Observed(target=Target(project_id=project, pool_name=name, region=region), **facts)


def run_waves(
    sizes: Sequence[int],
    budgets: Sequence[int],
    rules: Sequence[Sequence[Rule]],
    chance: random.Random,
    **how: Any,
) -> tuple[int, bool]:
    """Run jobs as an engine would; return how many pools broke and whether it went to the end.

    Args:
        sizes: Jobs of each wave.
        budgets: Jobs at once in each.
        rules: The rules of each, those of the rollout included.
        chance: Decides what fails, and in which order jobs end.
        how: ``rate`` of failures, ``bounded``, ``slow`` (how many times longer a failure
            takes), ``suspect`` (age from which a job is a suspect; a success takes about 1).
    """
    rate, bounded = how.get("rate", 0.3), how.get("bounded", True)
    slow, suspect = how.get("slow", 1.0), how.get("suspect", float("inf"))
    total = sum(sizes)
    ok, bad = 0, 0
    now = 0.0
    for size, budget, own in zip(sizes, budgets, rules, strict=True):
        wave_ok, wave_bad, stopped = 0, 0, False
        flying: list[tuple[float, float, bool]] = []  # end, start, fails
        while True:
            late = sum(now - start > suspect for _, start, _ in flying)
            wave = Tally(
                planned=size, succeeded=wave_ok, failed=wave_bad, in_flight=len(flying),
                suspects=late,
            )  # fmt: skip
            all_ = Tally(
                planned=total, succeeded=ok, failed=bad, in_flight=len(flying), suspects=late
            )
            stopped = stopped or verdict(own, wave, all_) is not None
            if not stopped:
                for _ in range(startable(own, wave, all_, budget, bounded=bounded)):
                    fails = chance.random() < rate
                    took = chance.uniform(0.7, 1.3) * (slow if fails else 1.0)
                    flying.append((now + took, now, fails))
            if not flying:
                break
            flying.sort()
            now, _, fails = flying.pop(0)
            ok, bad = ok + (not fails), bad + fails
            wave_ok, wave_bad = wave_ok + (not fails), wave_bad + fails
        if stopped:
            return bad, False
    return bad, True
