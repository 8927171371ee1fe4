-- Plans, rollouts and their waves.  Only additions: a program of the version before goes on
-- working, as long as nobody starts a rollout.
--
-- States and events are the words of jobs/rollout_states.py: these tables are small.

-- Immutable; the body is the canonical JSON that the digest is the SHA-256 of, with inputs.
CREATE TABLE plans (
  digest TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  body TEXT NOT NULL,
  made_us INTEGER NOT NULL
) STRICT;

-- rev grows with every change of the row or of a wave's own columns.
CREATE TABLE rollouts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  plan TEXT NOT NULL REFERENCES plans(digest),
  state TEXT NOT NULL,
  live INTEGER NOT NULL,          -- 1 while it holds its pools
  rev INTEGER NOT NULL,
  created_us INTEGER NOT NULL,
  started_us INTEGER,
  finished_us INTEGER,
  expires_us INTEGER,
  of_rollout INTEGER REFERENCES rollouts(id),
  key TEXT UNIQUE,
  fingerprint TEXT NOT NULL,
  asked TEXT,                     -- JSON, as are those below
  facts TEXT,
  labels TEXT,
  pruned INTEGER NOT NULL DEFAULT 0  -- 1 once jobs of it were removed: no recount is right
) STRICT;
CREATE UNIQUE INDEX rollouts_live ON rollouts(name) WHERE live = 1;
CREATE INDEX rollouts_name ON rollouts(name, id);

-- The counts are exact, because they change in the transaction that changes the job; they
-- change without a new rev, and each time `changes` grows.
CREATE TABLE waves (
  rollout INTEGER NOT NULL REFERENCES rollouts(id),
  n INTEGER NOT NULL,
  state TEXT NOT NULL,
  size INTEGER NOT NULL,
  written INTEGER NOT NULL DEFAULT 0,
  opened_us INTEGER,
  approved TEXT,
  facts TEXT,
  admitted INTEGER NOT NULL DEFAULT 0,
  succeeded INTEGER NOT NULL DEFAULT 0,
  unchanged INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0,
  unresolved INTEGER NOT NULL DEFAULT 0,
  skipped INTEGER NOT NULL DEFAULT 0,
  cancelled INTEGER NOT NULL DEFAULT 0,
  failures INTEGER NOT NULL DEFAULT 0,
  last_us INTEGER,
  changes INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (rollout, n)
) STRICT, WITHOUT ROWID;

-- Only ever appended to.
CREATE TABLE rollout_record (
  rollout INTEGER NOT NULL REFERENCES rollouts(id),
  seq INTEGER NOT NULL,
  at_us INTEGER NOT NULL,
  event TEXT NOT NULL,
  wave INTEGER,
  data TEXT,
  PRIMARY KEY (rollout, seq)
) STRICT, WITHOUT ROWID;

-- Whose plug-in on a pool it is; means nothing once that rollout has ended.
CREATE TABLE rollout_pools (
  pool INTEGER NOT NULL,
  plugin TEXT NOT NULL,
  rollout INTEGER NOT NULL,
  PRIMARY KEY (pool, plugin)
) STRICT, WITHOUT ROWID;

-- NULL for jobs of no rollout.  left_us is when the job left the line of its wave; successor
-- is the job that tries it again, and that stands at the same place.
ALTER TABLE jobs ADD COLUMN rollout INTEGER;
ALTER TABLE jobs ADD COLUMN wave INTEGER;
ALTER TABLE jobs ADD COLUMN rank INTEGER;
ALTER TABLE jobs ADD COLUMN left_us INTEGER;
ALTER TABLE jobs ADD COLUMN successor INTEGER;

-- What stands at each place of a rollout.
CREATE UNIQUE INDEX jobs_of_rollout ON jobs(rollout, wave, rank)
  WHERE rollout IS NOT NULL AND successor IS NULL;
-- advance: the line of a wave.
CREATE INDEX jobs_in_line ON jobs(rollout, wave, rank)
  WHERE rollout IS NOT NULL AND left_us IS NULL;
-- advance: what is on its way.
CREATE INDEX jobs_admitted ON jobs(rollout, wave, rank)
  WHERE rollout IS NOT NULL AND left_us IS NOT NULL AND open = 1;
