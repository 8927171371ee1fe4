-- The SQL door: other programs insert here; workers make jobs of it.  Documented in docs/sql.md.
CREATE TABLE inbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice: it is the key of a letter without one
  request TEXT NOT NULL,
  key TEXT,
  source TEXT NOT NULL DEFAULT 'sql',
  received_us INTEGER NOT NULL DEFAULT (CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER)),
  refused TEXT
) STRICT;
CREATE INDEX inbox_new ON inbox(id) WHERE refused IS NULL;
