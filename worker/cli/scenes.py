"""The demo's scenes as data: how the simulated cloud behaves, and how patient the worker is.

Everything is quicker than in life, in the same proportions: a lost answer may still take
effect for 1 s here, so the worker waits 2 s before it reads, as it waits 90 s in life.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from config.settings import Settings
from worker.simulator import SimulatorOptions

SEED: Final = 7
PLUGIN: Final = "volcano"
LATE_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One behaviour of the cloud: a sentence for a person, options for the simulator."""

    words: str
    faults: Mapping[str, Any]


SCENES: Final[Mapping[str, Scene]] = MappingProxyType(
    {
        "calm": Scene(words="everything works", faults=MappingProxyType({})),
        "flaky": Scene(
            words="some answers are lost, some are 500 or 429, a few pools cannot pull the image",
            faults=MappingProxyType(
                {
                    "bad_pools": 0.05,
                    "lost_after": 0.06,
                    "lost_before": 0.03,
                    "late": 0.03,
                    "error_before": 0.03,
                    "error_after": 0.04,
                    "read_faults": 0.02,
                    "limit": 30,
                }
            ),
        ),
        "storm": Scene(
            words="a third of the answers is lost or wrong, the limit is low, a tenth of the "
            "pools is broken",
            faults=MappingProxyType(
                {
                    "bad_pools": 0.1,
                    "lost_after": 0.1,
                    "lost_before": 0.05,
                    "late": 0.05,
                    "error_before": 0.05,
                    "error_after": 0.05,
                    "html": 0.03,
                    "truncated": 0.02,
                    "read_faults": 0.05,
                    "limit": 20,
                    "retry_after": True,
                }
            ),
        ),
    }
)


def cloud_options(
    scene: Scene, *, projects: int, pools_each: int, speed: float
) -> SimulatorOptions:
    """Return the simulated cloud of a scene; two pools in five have the plug-in already."""
    return SimulatorOptions(
        projects=projects,
        pools=pools_each,
        speed=speed,
        seed=SEED,
        installed=0.4,
        fail_s=60.0,
        late_s=LATE_S,
        **scene.faults,
    )


def worker_settings(url: str, store: str) -> Settings:
    """Return the settings of the demo's worker; nothing of the user's own is read."""
    return Settings.model_validate(
        {
            "store": {"url": store},
            "cloud": {
                "endpoint": url,
                "auth": "none",
                "rate": 40,
                "settle": "2s",
                "request_timeout": "5s",
                "poll_first": "1s",
                "poll_max": "2s",
                "abnormal_grace": "2s",
                "stale_after": "20s",
                "missing_after": "10s",
            },
            "worker": {"name": "demo"},
            "jobs": {"deadline": "5m"},
            "logs": {"format": "json"},
        }
    )
