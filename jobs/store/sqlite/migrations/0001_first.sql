-- The whole store, first edition.
--
-- Times are integer microseconds since 1970.  States and reasons are the codes of
-- jobs/store/schema.py: 1 waiting, 2 ready, 3 checking, 4 sending, 5 unknown, 6 watching,
-- 7 and above final; reason 9 is pool-busy.  Partial indexes name them as literals, because
-- the planner cannot prove a partial index from a parameter.

-- Numbers given out in memory and written once for each group commit; never given twice.
CREATE TABLE sequences (
  name TEXT PRIMARY KEY,
  last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO sequences(name, last) VALUES ('jobs', 0), ('pools', 0), ('events', 0);

CREATE TABLE projects (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

-- head_job is the one job of the pool that is ready, in hand, or waits without letting go.
-- It has no foreign key: pool and first job are made in one breath.
CREATE TABLE pools (
  id INTEGER PRIMARY KEY,
  project INTEGER NOT NULL REFERENCES projects(id),
  region TEXT NOT NULL,
  name TEXT NOT NULL,
  head_job INTEGER,
  fence INTEGER NOT NULL DEFAULT 0,
  UNIQUE (project, region, name)
) STRICT;

-- One row for each distinct plug-in wish; a rollout repeats one document.
CREATE TABLE specs (
  id INTEGER PRIMARY KEY,
  sha256 BLOB NOT NULL UNIQUE,
  name TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT;

CREATE TABLE workers (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  host TEXT NOT NULL,
  pid INTEGER NOT NULL,
  started_us INTEGER NOT NULL,
  heartbeat_us INTEGER NOT NULL,
  lease_until_us INTEGER NOT NULL,
  dead_us INTEGER
) STRICT;
CREATE INDEX workers_alive ON workers(id) WHERE dead_us IS NULL;

CREATE TABLE jobs (
  id INTEGER PRIMARY KEY,
  state INTEGER NOT NULL,
  open INTEGER NOT NULL,          -- 1 until final; changes once, so its index does too
  holds INTEGER NOT NULL,         -- 1 in the states 3 to 6; set and cleared once for each claim
  reason INTEGER NOT NULL,        -- 0 unless waiting
  run_at_us INTEGER,
  worker INTEGER REFERENCES workers(id),
  fence INTEGER NOT NULL,
  cancel_asked INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  project INTEGER NOT NULL REFERENCES projects(id),
  pool INTEGER NOT NULL REFERENCES pools(id),
  spec INTEGER NOT NULL REFERENCES specs(id),
  created_us INTEGER NOT NULL,
  started_us INTEGER,
  deadline_us INTEGER,
  finished_us INTEGER,
  progress TEXT,                  -- JSON, only what is not at its default
  not_before_us INTEGER,
  deadline_s REAL,
  source TEXT NOT NULL,
  idempotency_key TEXT,
  fingerprint ANY NOT NULL,       -- 32 bytes; text when it is no SHA-256
  natural_key ANY NOT NULL,
  labels TEXT,
  CHECK (open = (state <= 6)),
  CHECK (holds = (state BETWEEN 3 AND 6))
) STRICT;
-- claim: one lane for each project, in order.
CREATE INDEX jobs_ready ON jobs(project, priority DESC, id) WHERE state = 2;
-- claim: what falls due.
CREATE INDEX jobs_due ON jobs(run_at_us) WHERE state = 1 AND run_at_us IS NOT NULL;
-- Who follows when a pool gets free.
CREATE INDEX jobs_behind ON jobs(pool, priority DESC, id)
  WHERE state = 1 AND reason = 9 AND run_at_us IS NULL;
-- claim: jobs that may have been sent and that nobody looks after.
CREATE INDEX jobs_orphaned ON jobs(id) WHERE worker IS NULL AND state IN (5, 6);
CREATE INDEX jobs_in_hand ON jobs(worker) WHERE worker IS NOT NULL;
-- The one-writer rule, held by the file itself.  Not by state: SQLite rewrites an index entry
-- with each change of a column that the index names.
CREATE UNIQUE INDEX jobs_one_holder ON jobs(pool) WHERE holds = 1;
-- Equal open jobs, and what a pool has; a short prefix keeps it small at a million rows.
CREATE INDEX jobs_open ON jobs(pool, substr(natural_key, 1, 6)) WHERE open = 1;

-- Opened by the intent to send, before the request leaves; closed by what followed.
CREATE TABLE attempts (
  job INTEGER NOT NULL REFERENCES jobs(id),
  n INTEGER NOT NULL,
  fence INTEGER NOT NULL,
  worker INTEGER NOT NULL,
  intended_us INTEGER NOT NULL,
  sent_us INTEGER,
  not_before_us INTEGER,
  before TEXT,
  inputs TEXT,
  ended_us INTEGER,
  outcome TEXT,
  http_status INTEGER,
  request_id TEXT,
  PRIMARY KEY (job, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_open ON attempts(job) WHERE outcome IS NULL;

-- Keys may outlive their jobs, hence no foreign key.
CREATE TABLE idempotency (
  source TEXT NOT NULL,
  key TEXT NOT NULL,
  fingerprint ANY NOT NULL,
  job INTEGER NOT NULL,
  PRIMARY KEY (source, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE intake_positions (
  source TEXT NOT NULL,
  digest TEXT NOT NULL,
  records INTEGER NOT NULL,
  PRIMARY KEY (source, digest)
) STRICT, WITHOUT ROWID;

-- History and outbox in one; only ever appended to.
CREATE TABLE events (
  seq INTEGER PRIMARY KEY,
  job INTEGER NOT NULL,
  at_us INTEGER NOT NULL,
  event TEXT NOT NULL,
  state INTEGER NOT NULL,
  data TEXT
) STRICT;
CREATE INDEX events_job ON events(job);

CREATE TABLE results (
  worker INTEGER NOT NULL REFERENCES workers(id),
  seq INTEGER NOT NULL,
  job INTEGER NOT NULL REFERENCES jobs(id),
  PRIMARY KEY (worker, seq)
) STRICT, WITHOUT ROWID;

-- Exact, because they change in the transaction that changes the rows.
CREATE TABLE counts (
  state INTEGER NOT NULL,
  reason INTEGER NOT NULL,
  jobs INTEGER NOT NULL,
  PRIMARY KEY (state, reason)
) STRICT, WITHOUT ROWID;

-- The limiter's rows, as JSON: only `jobs.pacing` reads and writes what is inside.
-- body is JSON: the limiter's rule grows new fields, and no query looks into it.
CREATE TABLE buckets (
  key TEXT PRIMARY KEY,
  body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
