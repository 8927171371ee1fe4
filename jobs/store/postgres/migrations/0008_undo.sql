-- The line stop, what turned bad after its success, and looks at pools that are through.  Only
-- additions: a program of the version before goes on working, but does not heed a line stop.

-- One row: the last order about the whole line, and who gave it (JSON).  Whoever commits an
-- intent to send shares its lock, and whoever stops the line takes it.
CREATE TABLE IF NOT EXISTS plugwave.line (
  id smallint PRIMARY KEY CHECK (id = 1),
  at_us bigint,
  stopped boolean NOT NULL,
  word text
) WITH (fillfactor = 50);
INSERT INTO plugwave.line(id, stopped) VALUES (1, false) ON CONFLICT DO NOTHING;

-- Successes whose pool turned bad afterwards, each once.
CREATE TABLE IF NOT EXISTS plugwave.late_failures (
  job bigint PRIMARY KEY,
  rollout bigint NOT NULL,
  at_us bigint NOT NULL,
  wave integer NOT NULL,
  told text NOT NULL
);
CREATE INDEX IF NOT EXISTS late_failures_of ON plugwave.late_failures(rollout, wave);

-- part
-- `rejected` of the failures were refused before anything was sent, `late` came after a success.
ALTER TABLE plugwave.tallies
  ADD COLUMN IF NOT EXISTS rejected integer NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS late integer NOT NULL DEFAULT 0;

-- part
-- `looks` counts the places looked at after their success; not before `look_us` again.
ALTER TABLE plugwave.waves
  ADD COLUMN IF NOT EXISTS looks bigint NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS look_us bigint;

-- part
-- What stood at a place before it was tried again: its first attempt has the baseline.
CREATE INDEX IF NOT EXISTS jobs_tried_again ON plugwave.jobs(rollout, wave, rank)
  WHERE rollout IS NOT NULL AND successor IS NOT NULL;
