"""The row of a sink as text, the same on every engine."""

from dataclasses import asdict
from typing import Any

import orjson

from jobs.store.sinks import Delivery, SinkRow


def sink_text(row: SinkRow) -> str:
    """Return the row as it is kept."""
    return orjson.dumps(asdict(row)).decode()


def sink_value(text: str) -> SinkRow:
    """Return the row that `sink_text` wrote; what a newer program added is left out."""
    body: dict[str, Any] = orjson.loads(text)
    log = tuple(_known(Delivery, entry) for entry in body.pop("log", ()))
    row: SinkRow = _known(SinkRow, {**body, "log": log})
    return row


def _known(kind: Any, body: dict[str, Any]) -> Any:  # noqa: ANN401 - one of two dataclasses
    fields = kind.__dataclass_fields__
    return kind(**{name: value for name, value in body.items() if name in fields})
