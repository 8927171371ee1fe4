"""What goes wrong with a request: drawn from the seed and the rates, never from the order.

A fault is drawn for the n-th write to a pool, so that a run with the same seed meets it at
the same place again, whatever else travels at the same time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from worker.simulator.answers import (
    EMPTY,
    SERVER_ERRORS,
    WRONG_TYPES,
    Answer,
    html_page,
    server_error,
)
from worker.simulator.chance import chance
from worker.simulator.options import WRITE_FAULTS, SimulatorOptions


class Manner(StrEnum):
    """How an answer travels."""

    WHOLE = "whole"
    CUT = "cut"  # half of the body, then the end of the connection
    RESET = "reset"  # nothing, the connection is reset


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        name: The option that asked for it.
        effect: Whether the write is carried out at once.
        late_s: Real seconds after which it is carried out instead; None for never.
        manner: How the answer travels.
        wait_s: Real seconds before the answer leaves.
        status: What the answer says instead, for faults that replace it.
        lot: Between 0 and 1; picks among variants.
    """

    name: str
    effect: bool = True
    late_s: float | None = None
    manner: Manner = Manner.WHOLE
    wait_s: float = 0.0
    status: int | None = None
    lot: float = 0.0


def write_fault(options: SimulatorOptions, *parts: object) -> Fault | None:
    """Return the fault of the write that *parts* name, or None when all goes well."""
    name = _drawn(options, chance(options.seed, "write", *parts))
    if name is None:
        return None
    return _MAKERS[name](options, chance(options.seed, "variant", *parts))


def read_fault(options: SimulatorOptions, *parts: object) -> Fault | None:
    """Return the fault of the read that *parts* name, or None when all goes well."""
    lot = chance(options.seed, "read", *parts)
    if lot >= options.read_faults:
        return None
    return _READ_FAULTS[int(lot / options.read_faults * len(_READ_FAULTS))]


def disguised(fault: Fault, answer: Answer | None, request_id: str) -> Answer | None:
    """Return what is answered instead of *answer*, which is None when nothing was done.

    A refusal stays a refusal where the fault pretends a success: a gateway that loses
    the body of an acceptance does not make one out of a "no".
    """
    if fault.name in {"error_before", "error_after", "read_error"}:
        assert fault.status is not None
        return server_error(fault.status, request_id)
    if answer is not None and not answer.is_success:
        return answer
    if fault.name == "html":
        assert fault.status is not None
        return html_page(fault.status)
    if fault.name == "empty":
        return EMPTY
    if fault.name == "wrong_type":
        return Answer(status=200, body=WRONG_TYPES[int(fault.lot * len(WRONG_TYPES))])
    return answer


def _drawn(options: SimulatorOptions, lot: float) -> str | None:
    """Return the fault in whose share *lot* falls."""
    for name in WRITE_FAULTS:
        lot -= getattr(options, name)
        if lot < 0:
            return name
    return None


def _status(lot: float) -> int:
    return tuple(SERVER_ERRORS)[int(lot * len(SERVER_ERRORS))]


_Maker = Callable[[SimulatorOptions, float], Fault]

_MAKERS: Final[Mapping[str, _Maker]] = MappingProxyType(
    {
        "lost_before": lambda _, __: Fault(name="lost_before", effect=False, manner=Manner.RESET),
        "lost_after": lambda _, __: Fault(name="lost_after", manner=Manner.RESET),
        "late": lambda options, lot: Fault(
            name="late", effect=False, late_s=options.late_s * lot, manner=Manner.RESET
        ),
        "error_before": lambda _, lot: Fault(
            name="error_before", effect=False, status=_status(lot)
        ),
        "error_after": lambda _, lot: Fault(name="error_after", status=_status(lot)),
        # Four cases of equal weight: 200 or 502, with or without effect.
        "html": lambda _, lot: Fault(
            name="html", effect=lot < 0.5, status=200 if int(lot * 4) % 2 == 0 else 502
        ),
        "truncated": lambda _, __: Fault(name="truncated", manner=Manner.CUT),
        "empty": lambda _, __: Fault(name="empty"),
        "wrong_type": lambda _, lot: Fault(name="wrong_type", lot=lot),
        "slow": lambda options, _: Fault(name="slow", wait_s=options.slow_s),
    }
)

_READ_FAULTS: Final = (
    Fault(name="read_error", status=500),
    Fault(name="read_reset", manner=Manner.RESET),
    Fault(name="read_cut", manner=Manner.CUT),
)
