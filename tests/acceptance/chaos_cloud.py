"""A cloud that goes wrong on purpose and keeps an exact record: a program of its own.

It serves the plug-in calls of the contract from one process and writes one JSON line for
every request, effect, settled operation, answer and violation.  It shares no code with the
product; what it does and records is what `tests.acceptance.checker` judges by.

    python -m tests.acceptance.chaos_cloud --port 0 --state fleet.json --log cloud.jsonl

The first line on stdout tells the port; with ``--echo`` the record follows there too, so
that a test can wait for what it wants to see.  SIGTERM ends the record with the final
state of every plug-in.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import os
import random
import signal
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from tests.acceptance import chaos_faults as faults
from tests.acceptance import chaos_spoilt as spoilt
from tests.acceptance.chaos_faults import Effect, Fault, FaultPlan, Form, Pause
from tests.acceptance.chaos_fleet import Fleet, Line, Wish, digest
from tests.acceptance.chaos_service import Service, pool_of, wish_of
from tests.acceptance.chaos_sockets import Connection, Listener
from tests.acceptance.chaos_wire import Head

WINDOW_S: Final = 1.0
FAULT_HEADER: Final = "x-chaos-fault"
"""A client may name the fault it wants; how the cloud's own tests reach each of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the cloud behaves; durations in seconds."""

    seed: int
    limit: int
    settle_range: tuple[float, float]
    latency_range: tuple[float, float]
    late_max_s: float
    pause_s: float
    stale_max_s: float
    post_mode: str
    reset_inputs: bool


@dataclass(slots=True)
class Request:
    """One request on its way through."""

    seq: int
    connection: Connection
    head: Head
    wish: Wish | None
    fault: Fault
    dice: random.Random

    @property
    def request_id(self) -> str:
        """The id the gateway would give it."""
        return f"{self.seq:032x}"


class Record:
    """The append-only log: a file, and stdout when asked."""

    def __init__(self, path: Path, echo: TextIO | None) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._echo = echo

    def write(self, line: Line) -> None:
        """Append one line; it is on its way to the disk when this returns."""
        text = json.dumps(line)
        self._file.write(text + "\n")
        if self._echo is not None:
            self._echo.write(text + "\n")
            self._echo.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class ChaosCloud:
    """Takes each request through limit, fault, effect and answer."""

    def __init__(
        self,
        options: Options,
        state: Mapping[str, Any],
        *,
        plan: FaultPlan,
        record: Record,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._options = options
        self._plan = plan
        self._record = record
        self._loop = loop
        self._arrivals: deque[float] = deque()
        self._seq = 0
        self.fleet = Fleet(
            state,
            settle_range=options.settle_range,
            reset_inputs=options.reset_inputs,
            call_at=loop.call_at,
            log=record.write,
        )
        self._service = Service(self.fleet, post_mode=options.post_mode)

    def on_request(self, connection: Connection, head: Head, body: bytes, received: float) -> None:
        """Begin with a request; its effect and its answer come by themselves."""
        self._seq += 1
        wish = wish_of(head, body)
        pool = pool_of(head)
        over_limit = self._is_over_limit(received)
        if over_limit:
            fault, dice = faults.NO_FAULT, random.Random(self._seq)
        else:
            target = f"{pool} {wish.name}" if wish is not None else None
            fault, dice = self._plan.choose(head.method, head.path, target)
            fault = faults.BY_NAME.get(head.headers.get(FAULT_HEADER, ""), fault)
        request = Request(self._seq, connection, head, wish, fault, dice)
        self._record.write(self._request_line(request, received))
        if over_limit:
            self._refuse(request, received)
            return
        delay = dice.uniform(*self._options.latency_range)
        if fault.pause is Pause.BEFORE:
            delay += self._options.pause_s
        self._loop.call_later(delay, self._take_effect, request)

    def _request_line(self, request: Request, received: float) -> Line:
        line: Line = {
            "kind": "request",
            "request": request.seq,
            "received": received,
            "connection": request.connection.number,
            "peer": request.connection.peer,
            "method": request.head.method,
            "path": request.head.path,
            "fault": request.fault.name,
        }
        pool = pool_of(request.head)
        if pool is not None:
            line |= {"project": pool[0], "pool": pool[1]}
        wish = request.wish
        if wish is not None:
            line |= {"plugin": wish.name, "version": wish.version, "inputs": digest(wish.inputs)}
        return line

    def _is_over_limit(self, received: float) -> bool:
        arrivals = self._arrivals
        arrivals.append(received)
        while arrivals[0] <= received - 2 * WINDOW_S:
            arrivals.popleft()
        # Kernel stamps of different connections may be read slightly out of order.
        inside = sum(1 for at in arrivals if received - WINDOW_S < at <= received)
        return inside > self._options.limit

    def _refuse(self, request: Request, received: float) -> None:
        self._record.write(
            {
                "kind": "violation",
                "name": "over_limit",
                "at": received,
                "request": request.seq,
                "detail": f"more than {self._options.limit} requests in {WINDOW_S} s",
            }
        )
        self._send(request, spoilt.throttled(request.request_id, self._options.limit))

    def _take_effect(self, request: Request) -> None:
        """Apply what the request asks for, now, later or never; then answer."""
        fault = request.fault
        at = None
        if fault.form is Form.STALE:
            at = time.monotonic() - request.dice.uniform(0.2, 1.0) * self._options.stale_max_s
        reply = self._service.reply(
            request.head, request.wish, request_id=request.request_id, at=at
        )
        if request.wish is not None and _status(reply) == 200:
            if fault.effect is Effect.NOW:
                self._apply(request, request.wish)
            elif fault.effect is Effect.LATE:
                late = faults.lateness(request.dice, self._options.late_max_s)
                self._loop.call_later(late, self._apply, request, request.wish)
        wait = self._options.pause_s if fault.pause is Pause.AFTER else 0.0
        self._loop.call_later(wait, self._answer, request, reply)

    def _apply(self, request: Request, wish: Wish) -> None:
        self.fleet.apply(
            self._service.pool(request.head),
            wish,
            request=request.seq,
            now=time.monotonic(),
            dice=request.dice,
        )

    def _answer(self, request: Request, reply: bytes) -> None:
        """Give the plain answer, or what the fault makes of it."""
        form, dice, rid = request.fault.form, request.dice, request.request_id
        match form:
            case Form.RESET:
                request.connection.reset()
                self._answered(request, None)
            case Form.TRUNCATED:
                self._send(request, spoilt.truncated(reply), close=True)
            case Form.PLAIN | Form.STALE:  # a stale answer was made from an old picture
                self._send(request, reply)
            case Form.WRONG_TYPE:
                reading = request.head.method == "GET"
                self._send(request, spoilt.wrong_type(rid, dice, reading=reading))
            case Form.ERROR_504:
                self._send(request, spoilt.gateway_timeout(rid))
            case Form.THROTTLED:
                self._send(request, spoilt.throttled(rid, self._options.limit))
            case _:
                self._send(request, spoilt.FIXED[form])

    def _send(self, request: Request, data: bytes, *, close: bool = False) -> None:
        delivered = request.connection.open
        request.connection.respond(data, close=close)
        self._answered(request, _status(data) if delivered else None)

    def _answered(self, request: Request, status: int | None) -> None:
        self._record.write(
            {
                "kind": "answer",
                "request": request.seq,
                "at": time.monotonic(),
                "status": status,
                "form": request.fault.form,
            }
        )


def _status(reply: bytes) -> int:
    return int(reply[9:12])


def _span(text: str) -> tuple[float, float]:
    low, _, high = text.partition("-")
    return float(low), float(high or low)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos_cloud", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--state", type=Path, required=True, help="the fleet at the start, JSON")
    parser.add_argument("--log", type=Path, required=True, help="the record, JSON lines")
    parser.add_argument("--echo", action="store_true", help="the record on stdout too")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=float, default=0.0, help="share of requests, 0 to 1")
    parser.add_argument("--only", default="", help="choose from these faults; names with commas")
    parser.add_argument("--throttles", type=int, default=2, help="how many 429 are made up")
    parser.add_argument(
        "--undone",
        type=int,
        default=faults.UNDONE_PER_PLUGIN,
        help="how many sends of one plug-in may be lost without effect",
    )
    parser.add_argument("--limit", type=int, default=100_000, help="requests in any second")
    parser.add_argument("--settle-range", type=_span, default=(0.3, 1.5), help="seconds: 0.3-1.5")
    parser.add_argument("--latency-range", type=_span, default=(0.001, 0.02), help="seconds")
    parser.add_argument("--late-max", type=float, default=faults.LATE_MAX_S, help="seconds")
    parser.add_argument("--pause", type=float, default=faults.PAUSE_S, help="seconds")
    parser.add_argument("--stale-max", type=float, default=faults.STALE_MAX_S, help="seconds")
    parser.add_argument("--post-mode", choices=("upsert", "409"), default="upsert")
    parser.add_argument(
        "--reset-inputs",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether inputs that are not sent take the template's defaults",
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    told = _arguments(arguments)
    record = Record(told.log, sys.stdout if told.echo else None)
    loop = asyncio.new_event_loop()
    options = Options(
        seed=told.seed,
        limit=told.limit,
        settle_range=told.settle_range,
        latency_range=told.latency_range,
        late_max_s=told.late_max,
        pause_s=told.pause,
        stale_max_s=told.stale_max,
        post_mode=told.post_mode,
        reset_inputs=told.reset_inputs,
    )
    plan = FaultPlan(
        seed=told.seed,
        rate=told.faults,
        throttles=told.throttles,
        undone=told.undone,
        only=frozenset(told.only.split(",")) - {""},
    )
    state = json.loads(told.state.read_text(encoding="utf-8"))
    cloud = ChaosCloud(options, state, plan=plan, record=record, loop=loop)
    listener = Listener(told.host, told.port, loop=loop, on_request=cloud.on_request)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, loop.stop)
    with contextlib.suppress(OSError):
        os.nice(-10)  # where allowed: a busy machine should not slow the judge down
    gc.freeze()
    gc.disable()
    now = time.monotonic()
    wall = time.clock_gettime(time.CLOCK_REALTIME) - now
    start = {"kind": "start", "at": now, "wall": wall, "port": listener.port, "limit": told.limit}
    record.write(start)
    if not told.echo:
        sys.stdout.write(json.dumps(start) + "\n")
        sys.stdout.flush()
    loop.run_forever()
    listener.close()
    loop.close()
    for line in cloud.fleet.final_lines():
        record.write(line)
    record.write({"kind": "end", "at": time.monotonic()})
    record.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
