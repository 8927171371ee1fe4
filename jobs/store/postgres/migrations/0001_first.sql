-- The whole store, first edition.
--
-- Times are integer microseconds since 1970.  States and reasons are the codes of
-- jobs/store/schema.py: 1 waiting, 2 ready, 3 checking, 4 sending, 5 unknown, 6 watching,
-- 7 and above final; reason 9 is pool-busy.
--
-- jobs.place says in which line a job stands, and the partial indexes name it as a literal,
-- because the planner cannot prove a partial index from a parameter:
--   0 set aside   1 ready   2 waits for a time   3 waits for its pool
--   4 in hand     5 may have been sent and nobody looks after it          6 has ended
-- A job in hand changes its state several times and its place never, so those updates touch
-- no index at all (HOT).
--
-- Every key of the large tables carries the project, so that they can be distributed by it.
-- There are no foreign keys: each would cost a lookup for each row; `store check` looks.

CREATE SEQUENCE plugwave.job_ids;
CREATE SEQUENCE plugwave.pool_ids;
CREATE SEQUENCE plugwave.worker_ids;

CREATE TABLE plugwave.projects (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL UNIQUE
);

-- head_job is the one job of the pool that is ready, in hand, or waits without letting go.
-- Whoever changes which job that is, or what waits behind it, locks this row first.
CREATE TABLE plugwave.pools (
  id bigint NOT NULL,
  head_job bigint,
  fence bigint NOT NULL DEFAULT 0,
  project integer NOT NULL,
  region text NOT NULL,
  name text NOT NULL,
  PRIMARY KEY (id, project),
  UNIQUE (project, region, name)
) WITH (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1);

-- One row for each distinct plug-in wish; a rollout repeats one document.
CREATE TABLE plugwave.specs (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  sha256 bytea NOT NULL UNIQUE,
  name text NOT NULL,
  body text NOT NULL
);

-- has_lock: its process holds the advisory lock (1885107062, id) while it lives.
CREATE TABLE plugwave.workers (
  id bigint PRIMARY KEY,
  started_us bigint NOT NULL,
  heartbeat_us bigint NOT NULL,
  lease_until_us bigint NOT NULL,
  dead_us bigint,
  pid integer NOT NULL,
  has_lock boolean NOT NULL,
  name text NOT NULL,
  host text NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX workers_alive ON plugwave.workers(id) WHERE dead_us IS NULL;

CREATE TABLE plugwave.jobs (
  id bigint NOT NULL,
  pool bigint NOT NULL,
  spec bigint NOT NULL,
  fence bigint NOT NULL DEFAULT 0,
  priority bigint NOT NULL,
  created_us bigint NOT NULL,
  worker bigint,
  run_at_us bigint,
  started_us bigint,
  deadline_us bigint,
  finished_us bigint,
  not_before_us bigint,
  deadline_s double precision,
  project integer NOT NULL,
  natural_tag integer NOT NULL,     -- the first four bytes of natural_key
  state smallint NOT NULL,
  place smallint NOT NULL,
  reason smallint NOT NULL,         -- 0 unless waiting
  cancel_asked boolean NOT NULL DEFAULT false,
  source text NOT NULL,
  idempotency_key text,
  fingerprint bytea NOT NULL,       -- a tag and what it says: 0 and a SHA-256, or 1 and text
  natural_key bytea NOT NULL,
  labels text,
  progress text,                    -- JSON, only what is not at its default
  PRIMARY KEY (id, project),
  CHECK ((place = 1) = (state = 2)),
  CHECK ((place = 6) = (state > 6)),
  CHECK ((place IN (0, 2, 3)) = (state = 1)),
  CHECK ((place = 4) = (worker IS NOT NULL))
) WITH (
  fillfactor = 75,                  -- room for the moves of a job in hand on its own page
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_analyze_scale_factor = 0.05,
  autovacuum_vacuum_cost_delay = 1
);
-- claim: one lane for each project, in order.
CREATE INDEX jobs_ready ON plugwave.jobs(project, priority DESC, id) WHERE place = 1;
-- claim: what falls due.
CREATE INDEX jobs_due ON plugwave.jobs(run_at_us) WHERE place = 2;
-- Who follows when a pool gets free.
CREATE INDEX jobs_behind ON plugwave.jobs(pool, priority DESC, id) WHERE place = 3;
-- claim: jobs that may have been sent and that nobody looks after.
CREATE INDEX jobs_orphaned ON plugwave.jobs(id) WHERE place = 5;
-- The one-writer rule, held by the database itself; with it, whose the jobs in hand are.
CREATE UNIQUE INDEX jobs_one_holder ON plugwave.jobs(pool, project) INCLUDE (worker)
  WHERE place IN (4, 5);
-- Equal open jobs, and what a pool has.
CREATE INDEX jobs_open ON plugwave.jobs(pool, natural_tag) WHERE place < 6;

-- Opened by the intent to send, before the request leaves; closed by what followed.
CREATE TABLE plugwave.attempts (
  job bigint NOT NULL,
  n bigint NOT NULL,
  fence bigint NOT NULL,
  worker bigint NOT NULL,
  intended_us bigint NOT NULL,
  sent_us bigint,
  not_before_us bigint,
  ended_us bigint,
  project integer NOT NULL,
  http_status integer,
  before text,
  inputs text,
  outcome text,
  request_id text,
  PRIMARY KEY (job, n, project)
) WITH (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1);

-- Keys may outlive their jobs.  Their scope is the source, so this table has no project.
CREATE TABLE plugwave.idempotency (
  source text NOT NULL,
  key text NOT NULL,
  fingerprint bytea NOT NULL,
  job bigint NOT NULL,
  PRIMARY KEY (source, key)
);

CREATE TABLE plugwave.intake_positions (
  source text NOT NULL,
  digest text NOT NULL,
  records bigint NOT NULL,
  PRIMARY KEY (source, digest)
);

-- History and outbox in one; only ever appended to.  The order of seq is not the order of
-- commits: who reads on from a cursor goes by (xid, seq), below the oldest running transaction.
CREATE TABLE plugwave.events (
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  seq bigint GENERATED ALWAYS AS IDENTITY,
  job bigint NOT NULL,
  at_us bigint NOT NULL,
  project integer NOT NULL,
  state smallint NOT NULL,
  event text NOT NULL,
  data text,
  PRIMARY KEY (xid, seq, project)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.1);
CREATE INDEX events_job ON plugwave.events(job, seq);

CREATE TABLE plugwave.results (
  worker bigint NOT NULL,
  seq bigint NOT NULL,
  job bigint NOT NULL,
  project integer NOT NULL,
  PRIMARY KEY (worker, seq, project)
);

-- Exact, because they change in the transaction that changes the rows.  Spread over slots,
-- so that processes do not queue for one row; a count is the sum over them.
CREATE TABLE plugwave.counts (
  slot smallint NOT NULL,
  state smallint NOT NULL,
  reason smallint NOT NULL,
  jobs bigint NOT NULL,
  PRIMARY KEY (slot, state, reason)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

-- The limiter's rows, as JSON: only `jobs.pacing` reads and writes what is inside.
CREATE TABLE plugwave.buckets (
  key text PRIMARY KEY,
  body text NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

-- One row for each writing connection: the last of its transactions that was committed.
-- Who lost the answer to a COMMIT looks here.
CREATE TABLE plugwave.commits (
  writer uuid PRIMARY KEY,
  last bigint NOT NULL,
  at_us bigint NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
