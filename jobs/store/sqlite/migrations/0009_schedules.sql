-- Schedules and their ticks.  Only additions: a program of the version before goes on working,
-- and fires nothing.
--
-- rev grows with every change of the row or of one of its ticks.

CREATE TABLE schedules (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  rev INTEGER NOT NULL,
  created_us INTEGER NOT NULL,
  changed_us INTEGER NOT NULL,
  last_us INTEGER NOT NULL,       -- everything up to this tick is decided
  failures INTEGER NOT NULL DEFAULT 0,
  timing TEXT NOT NULL,           -- two that are equal fire at the same times
  body TEXT NOT NULL,             -- the manifest as canonical JSON, with inputs
  fleet TEXT,
  profile TEXT,
  word TEXT NOT NULL,             -- JSON
  paused TEXT                     -- JSON, NULL while it runs
) STRICT;

-- A tick is there once: that is why it fires once.
CREATE TABLE ticks (
  schedule INTEGER NOT NULL REFERENCES schedules(id),
  at_us INTEGER NOT NULL,
  open INTEGER NOT NULL,
  state TEXT NOT NULL,
  rollout INTEGER,
  data TEXT NOT NULL,             -- JSON
  PRIMARY KEY (schedule, at_us)
) STRICT, WITHOUT ROWID;
CREATE INDEX ticks_open ON ticks(schedule, at_us) WHERE open = 1;
