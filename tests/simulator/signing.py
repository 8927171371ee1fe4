"""A small signer for requests to the simulator, dated by the test's clock.

It signs the plain paths of these tests and nothing else; what signatures really have to
cope with is in the vectors and comes from the official SDK.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote

from jobs.clock import Clock
from worker.simulator import Simulator


class Signer:
    """Signs as one key."""

    def __init__(self, access: str, secret: str, clock: Clock) -> None:
        self.access = access
        self.secret = secret
        self._clock = clock

    def headers(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        signed: Mapping[str, str] | None = None,
        unsigned: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """Return the headers of a request; *unsigned* ones are put on after signing."""
        moment = datetime.fromtimestamp(self._clock.now_us() // 1_000_000, tz=UTC)
        date = moment.strftime("%Y%m%dT%H%M%SZ")
        head = {"X-Sdk-Date": date, **(signed or {})}
        names = sorted(name.lower() for name in head)
        values = {name.lower(): value for name, value in head.items()}
        plain, _, query = path.partition("?")
        pairs = sorted(parse_qsl(query, keep_blank_values=True))
        lines = [
            method,
            f"{plain}/",
            "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs),
            *(f"{name}:{values[name]}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(body).hexdigest(),
        ]
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        text = f"SDK-HMAC-SHA256\n{date}\n{digest}".encode()
        made = hmac.new(self.secret.encode(), text, hashlib.sha256).hexdigest()
        proof = (
            f"SDK-HMAC-SHA256 Access={self.access}, SignedHeaders={';'.join(names)}, "
            f"Signature={made}"
        )
        return {**head, "Authorization": proof, **(unsigned or {})}


def signer(cloud: Simulator, clock: Clock, number: int = 0) -> Signer:
    """Return a signer with a key the simulator knows."""
    key = cloud.identity.directory.keys[number]
    return Signer(key.access, key.secret, clock)
