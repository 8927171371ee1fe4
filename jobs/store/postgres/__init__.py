"""The shared engine: PostgreSQL 14 to 18, for any number of workers on any number of machines.

Reading order: `store` (the methods), `transactions` (retry, and what became of a lost COMMIT),
`grouping` (group commit), `transaction` (what a call may do), then the duties: `intake`,
`pools`, `claiming`, `recording`, `workers`, `buckets`, `reading`, `outbox`, `pruning`,
`measuring`, `checking`.  `address`,
`wire`, `troubles`, `connections`, `presence` and `judging` are about the server and who lives;
``migrations/`` is the schema.

Only this package imports asyncpg.
"""

from jobs.store.postgres.connections import Patience
from jobs.store.postgres.migrating import migrations_sql
from jobs.store.postgres.opening import open_postgres, pending_sql
from jobs.store.postgres.store import PostgresStore

__all__ = ["Patience", "PostgresStore", "migrations_sql", "open_postgres", "pending_sql"]
