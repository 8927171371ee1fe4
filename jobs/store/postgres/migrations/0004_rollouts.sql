-- Plans, rollouts and their waves.  Only additions: a program of the version before goes on
-- working, as long as nobody starts a rollout.
--
-- States and events are the words of jobs/rollout_states.py: these tables are small.

-- Immutable; the body is the canonical JSON that the digest is the SHA-256 of, with inputs.
CREATE TABLE IF NOT EXISTS plugwave.plans (
  digest text COLLATE "C" PRIMARY KEY,
  made_us bigint NOT NULL,
  name text NOT NULL,
  body text NOT NULL
);

-- rev grows with every change of the row or of a wave's own columns.  Whoever commits an
-- intent to send shares the row's lock, and whoever gives an order takes it.
CREATE TABLE IF NOT EXISTS plugwave.rollouts (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  rev bigint NOT NULL,
  created_us bigint NOT NULL,
  started_us bigint,
  finished_us bigint,
  expires_us bigint,
  of_rollout bigint,
  live boolean NOT NULL,          -- while it holds its pools
  pruned boolean NOT NULL DEFAULT false,  -- once jobs of it were removed: no recount is right
  name text NOT NULL,
  kind text NOT NULL,
  plan text NOT NULL,
  state text NOT NULL,
  key text UNIQUE,
  fingerprint text NOT NULL,
  asked text,                     -- JSON, as are those below
  facts text,
  labels text
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
CREATE UNIQUE INDEX IF NOT EXISTS rollouts_live ON plugwave.rollouts(name) WHERE live;
CREATE INDEX IF NOT EXISTS rollouts_name ON plugwave.rollouts(name, id);

CREATE TABLE IF NOT EXISTS plugwave.waves (
  rollout bigint NOT NULL,
  opened_us bigint,
  n integer NOT NULL,
  size integer NOT NULL,
  written integer NOT NULL DEFAULT 0,
  state text NOT NULL,
  approved text,
  facts text,
  PRIMARY KEY (rollout, n)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

-- Exact, because they change in the transaction that changes the jobs.  Spread over slots, as
-- the counts are; a tally is the sum over them.  `changes` only grows.
CREATE TABLE IF NOT EXISTS plugwave.tallies (
  rollout bigint NOT NULL,
  changes bigint NOT NULL,
  last_us bigint,
  wave integer NOT NULL,
  slot smallint NOT NULL,
  admitted integer NOT NULL,
  succeeded integer NOT NULL,
  unchanged integer NOT NULL,
  failed integer NOT NULL,
  unresolved integer NOT NULL,
  skipped integer NOT NULL,
  cancelled integer NOT NULL,
  failures integer NOT NULL,
  PRIMARY KEY (rollout, wave, slot)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

-- Only ever appended to.
CREATE TABLE IF NOT EXISTS plugwave.rollout_record (
  rollout bigint NOT NULL,
  seq bigint NOT NULL,
  at_us bigint NOT NULL,
  wave integer,
  event text NOT NULL,
  data text,
  PRIMARY KEY (rollout, seq)
);

-- Whose plug-in on a pool it is; means nothing once that rollout has ended.
CREATE TABLE IF NOT EXISTS plugwave.rollout_pools (
  pool bigint NOT NULL,
  rollout bigint NOT NULL,
  plugin text COLLATE "C" NOT NULL,
  PRIMARY KEY (pool, plugin)
);

-- part
-- NULL for jobs of no rollout.  left_us is when the job left the line of its wave; successor
-- is the job that tries it again, and that stands at the same place.
ALTER TABLE plugwave.jobs
  ADD COLUMN IF NOT EXISTS rollout bigint,
  ADD COLUMN IF NOT EXISTS wave integer,
  ADD COLUMN IF NOT EXISTS rank integer,
  ADD COLUMN IF NOT EXISTS left_us bigint,
  ADD COLUMN IF NOT EXISTS successor bigint;

-- part
-- What stands at each place of a rollout.  Not unique, because a unique index would need the
-- project: the rollout's lock keeps two from the same place, and `store check` looks.
CREATE INDEX IF NOT EXISTS jobs_of_rollout ON plugwave.jobs(rollout, wave, rank)
  WHERE rollout IS NOT NULL AND successor IS NULL;

-- part
-- advance: the line of a wave.
CREATE INDEX IF NOT EXISTS jobs_in_line ON plugwave.jobs(rollout, wave, rank)
  WHERE rollout IS NOT NULL AND left_us IS NULL;

-- part
-- advance: what is on its way.
CREATE INDEX IF NOT EXISTS jobs_admitted ON plugwave.jobs(rollout, wave, rank)
  WHERE rollout IS NOT NULL AND left_us IS NOT NULL AND place < 6;
