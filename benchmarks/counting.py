"""What a store was asked: statements and commits, counted from outside the product.

SQLite tells every statement it runs to a hook of apsw; PostgreSQL counts them itself, by
transaction in ``pg_stat_database`` and by statement in ``pg_stat_statements`` (`services`).

Turns of the limiter that were late are counted too: such a request was prepared and then not
sent, and another turn was taken.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import apsw

from worker.limiter import Turn


@contextmanager
def counted(wanted: bool) -> Iterator[dict[str, int]]:  # noqa: FBT001 - a switch of the command line
    """Yield the counts ``statements`` and ``commits`` (of SQLite) and ``late_turns``."""
    counts: dict[str, int] = {}
    if not wanted:
        yield counts
        return
    counts |= {"statements": 0, "commits": 0, "late_turns": 0}

    def ran(event: dict[str, Any]) -> None:
        if not event.get("trigger"):
            counts["statements"] += 1
            counts["commits"] += event["sql"].startswith("BEGIN IMMEDIATE")

    def watch(connection: apsw.Connection) -> None:
        connection.trace_v2(apsw.SQLITE_TRACE_STMT, ran)

    use = Turn.use

    def asked(turn: Turn) -> bool:
        used = use(turn)
        counts["late_turns"] += not used
        return used

    apsw.connection_hooks.append(watch)
    try:
        with patch.object(Turn, "use", asked):
            yield counts
    finally:
        apsw.connection_hooks.remove(watch)
