"""The embedded engine: one SQLite file, one writing thread, no server.

Reading order: `store` (the methods), `engine` (threads and group commit), `transaction`
(what a call may do), then the duties: `intake`, `pools`, `claiming`, `recording`,
`workers`, `reading`, `outbox`, `pruning`, `measuring`, `checking`.  `connection`, `migrating`
and `liveness` are about the file and the machine; ``migrations/`` is the schema.
"""

from jobs.store.sqlite.migrating import migrations_sql
from jobs.store.sqlite.opening import open_sqlite, pending_sql
from jobs.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore", "migrations_sql", "open_sqlite", "pending_sql"]
