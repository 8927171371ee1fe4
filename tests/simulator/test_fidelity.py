"""Field by field: what the reference and its examples show is in the simulator's answers.

Two directions.  Every attribute of the official SDK's models is told, or is in a list that
says why not; and every field of a documented example is told by the site that documents it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from tests.simulator.asking import DNS, QUICK, Client, asking
from tests.simulator.official import core, load

SDK_SITE: Final = replace(
    QUICK, pools=3, odd_pools=1.0, installed=0.0, answer_shape="full", values_shape="text"
)
"""Every phase of a pool; plug-ins told in full."""

RESOURCES: Final = "only the European site shows them, with detail=true"
ORDER: Final = "only for pools that are paid in advance"
NPU: Final = "only for pools with NPU nodes"
SUPER_NODE: Final = "only for nodes of a super node or of a batch"
SUB_POOL: Final = "only for pools that are part of another one"
DISK: Final = "only for pools with data disks of their own"
CHOSEN: Final = "only when somebody chose it at creation"
NEVER_DELETING: Final = "no node of the simulator is ever being deleted"

NOT_TOLD: Final[Mapping[str, str]] = {
    "status/resources/*": RESOURCES,
    "items/status/resources/creating": "",
    "metadata/annotations/os.modelarts~period.*": ORDER,
    "metadata/annotations/os.modelarts~auto.renew": ORDER,
    "metadata/annotations/os.modelarts~promotion.info": ORDER,
    "metadata/annotations/os.modelarts~service.console.url": ORDER,
    "metadata/annotations/os.modelarts~order.id": ORDER,
    "metadata/labels/os.modelarts~order.name": ORDER,
    "metadata/labels/os.modelarts~nobilling": ORDER,
    "metadata/annotations/os.modelarts~flavor.resource.ids": ORDER,
    "metadata/annotations/os.modelarts~tms.tags": CHOSEN,
    "metadata/annotations/os.modelarts~tenant.domain.name": CHOSEN,
    "metadata/annotations/os.modelarts.pool~scheduler.queue.strategy": CHOSEN,
    "metadata/labels/os.modelarts.pool~biz": CHOSEN,
}
