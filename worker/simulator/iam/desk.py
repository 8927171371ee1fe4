"""What every call of IAM needs: who there is, what was handed out, and how IAM answers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from worker.simulator.answers import Answer, document, rejection
from worker.simulator.asked import Asked
from worker.simulator.credentials import Authenticator, Rejected
from worker.simulator.iam.directory import Account, Directory
from worker.simulator.iam.gate import Gate
from worker.simulator.iam.passes import Passes
from worker.simulator.world import Visit, World

_TITLES: Final[Mapping[int, str]] = {400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where IAM's calls are answered from."""

    world: World
    directory: Directory
    passes: Passes
    gate: Gate
    authenticator: Authenticator

    @property
    def now_us(self) -> int:
        """Microseconds since 1970 (UTC)."""
        return self.world.clock.now_us()

    def admit(self, visit: Visit, asked: Asked) -> Answer | None:
        """Note who asks in *visit*, or return the refusal."""
        who = self.authenticator.check(
            asked.method, asked.raw_path, asked.headers, asked.body or b""
        )
        if isinstance(who, Rejected):
            return rejection(who, visit.request_id)
        visit.credential = who
        return None

    def accounts_of(self, visit: Visit) -> list[Account]:
        """Return the account of who asks; all of them when nobody knows who that is."""
        account = self.directory.account_of(visit.credential or "")
        return self.directory.accounts if account is None else [account]

    def told(self, visit: Visit, value: Mapping[str, Any], status: int = 200) -> Answer:
        """Return *value* as IAM answers."""
        return self.traced(visit, document(value, status))

    def sorry(self, visit: Visit, status: int, message: str) -> Answer:
        """Return an error in IAM's own shape."""
        error = {"code": status, "message": message, "title": _TITLES[status]}
        return self.told(visit, {"error": error}, status)

    def traced(self, visit: Visit, answer: Answer) -> Answer:
        """Return the answer with IAM's own id of it."""
        trace = f"token_{self.world.options.region}_null_{visit.request_id}"
        return replace(answer, headers={**(answer.headers or {}), "X-IAM-Trace-Id": trace})


def own_url(asked: Asked) -> str:
    """Return where we are, as who asks has called us."""
    host = asked.headers.get("Host", "localhost").encode("ascii", "replace").decode()
    return f"http://{host}"


def identity_in(asked: Asked) -> Mapping[str, Any]:
    """Return ``auth`` of the body, empty when there is none."""
    try:
        told = orjson.loads(asked.body or b"")
    except ValueError:
        return {}
    return part(told, "auth")


def part(value: object, *names: str) -> Mapping[str, Any]:
    """Return the object below *names*, empty when there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}
