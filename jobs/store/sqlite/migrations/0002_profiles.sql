-- A job may name the profile it is sent as, and a worker says which ones it has.
--
-- '' is no profile.  It goes first in the indexes that a claim looks at, so that jobs of a
-- profile nobody here has cost the claims of the others nothing.  No reference to a table of
-- names: a column that is added cannot have one.
ALTER TABLE jobs ADD COLUMN profile TEXT NOT NULL DEFAULT '';
ALTER TABLE workers ADD COLUMN profiles TEXT;  -- JSON; NULL is none

DROP INDEX jobs_ready;
DROP INDEX jobs_orphaned;
-- claim: one lane for each profile and project, in order.
CREATE INDEX jobs_ready ON jobs(profile, project, priority DESC, id) WHERE state = 2;
-- claim: jobs that may have been sent and that nobody looks after.
CREATE INDEX jobs_orphaned ON jobs(profile, id) WHERE worker IS NULL AND state IN (5, 6);
-- What is left for whom; costs nothing where no job names a profile.
CREATE INDEX jobs_named ON jobs(profile) WHERE open = 1 AND profile <> '';
