"""One request as it was sent; what credentials are checked on and calls are read from."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request, byte for byte.

    Attributes:
        method: In capitals.
        raw_path: Path and query as they were on the request line.
        headers: Names are found in any spelling.
        body: None when it is larger than the gateway takes.
    """

    method: str
    raw_path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
