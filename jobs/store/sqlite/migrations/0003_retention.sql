-- Ended jobs may go.  Only additions: a program of the version before goes on working.

-- When a duty that any worker may do is due again; whoever moves it on does it.
CREATE TABLE duties (
  name TEXT PRIMARY KEY,
  next_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Keys whose jobs have gone, by when those ended.
CREATE TABLE ended_keys (
  ended_us INTEGER NOT NULL,
  source TEXT NOT NULL,
  key TEXT NOT NULL,
  job INTEGER NOT NULL,
  PRIMARY KEY (ended_us, source, key)
) STRICT, WITHOUT ROWID;

-- Up to which of its results the worker has written the lines; NULL when it does not tell.
ALTER TABLE workers ADD COLUMN reported INTEGER;

-- Who removes a job must find its result.
CREATE INDEX results_job ON results(job);

-- Since when no job has this content; NULL while one has, or nobody has looked.
ALTER TABLE specs ADD COLUMN unused_us INTEGER;
