-- The line stop, what turned bad after its success, and looks at pools that are through.  Only
-- additions: a program of the version before goes on working, but does not heed a line stop.

-- One row: the last order about the whole line, and who gave it (JSON).
CREATE TABLE line (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  stopped INTEGER NOT NULL,
  at_us INTEGER,
  word TEXT
) STRICT;
INSERT INTO line(id, stopped) VALUES (1, 0);

-- `rejected` of the failures were refused before anything was sent, `late` came after a
-- success.  `looks` counts the places looked at since then; not before `look_us` again.
ALTER TABLE waves ADD COLUMN rejected INTEGER NOT NULL DEFAULT 0;
ALTER TABLE waves ADD COLUMN late INTEGER NOT NULL DEFAULT 0;
ALTER TABLE waves ADD COLUMN looks INTEGER NOT NULL DEFAULT 0;
ALTER TABLE waves ADD COLUMN look_us INTEGER;

-- Successes whose pool turned bad afterwards, each once.
CREATE TABLE late_failures (
  job INTEGER PRIMARY KEY,
  rollout INTEGER NOT NULL,
  wave INTEGER NOT NULL,
  at_us INTEGER NOT NULL,
  told TEXT NOT NULL
) STRICT;
CREATE INDEX late_failures_of ON late_failures(rollout, wave);

-- What stood at a place before it was tried again: its first attempt has the baseline.
CREATE INDEX jobs_tried_again ON jobs(rollout, wave, rank)
  WHERE rollout IS NOT NULL AND successor IS NOT NULL;
