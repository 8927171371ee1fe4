-- Schedules and their ticks.  Only additions: a program of the version before goes on working,
-- and fires nothing.
--
-- rev grows with every change of the row or of one of its ticks; whoever changes either locks
-- the row first.

CREATE TABLE IF NOT EXISTS plugwave.schedules (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  rev bigint NOT NULL,
  created_us bigint NOT NULL,
  changed_us bigint NOT NULL,
  last_us bigint NOT NULL,        -- everything up to this tick is decided
  failures integer NOT NULL DEFAULT 0,
  name text NOT NULL UNIQUE,
  timing text NOT NULL,           -- two that are equal fire at the same times
  body text NOT NULL,             -- the manifest as canonical JSON, with inputs
  fleet text,
  profile text,
  word text NOT NULL,             -- JSON
  paused text                     -- JSON, NULL while it runs
) WITH (fillfactor = 50);

-- A tick is there once: that is why it fires once.
CREATE TABLE IF NOT EXISTS plugwave.ticks (
  schedule bigint NOT NULL,
  at_us bigint NOT NULL,
  rollout bigint,
  open smallint NOT NULL,
  state text NOT NULL,
  data text NOT NULL,             -- JSON
  PRIMARY KEY (schedule, at_us)
) WITH (fillfactor = 70);
CREATE INDEX IF NOT EXISTS ticks_open ON plugwave.ticks(schedule, at_us) WHERE open = 1;
