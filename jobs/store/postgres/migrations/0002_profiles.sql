-- A job may name the profile it is sent as, and a worker says which ones it has.
--
-- '' is no profile.  It goes first in the indexes that a claim looks at, so that jobs of a
-- profile nobody here has cost the claims of the others nothing.
ALTER TABLE plugwave.jobs ADD COLUMN profile text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE plugwave.workers ADD COLUMN profiles text;  -- JSON; NULL is none

DROP INDEX plugwave.jobs_ready;
DROP INDEX plugwave.jobs_orphaned;
-- claim: one lane for each profile and project, in order.
CREATE INDEX jobs_ready ON plugwave.jobs(profile, project, priority DESC, id) WHERE place = 1;
-- claim: jobs that may have been sent and that nobody looks after.
CREATE INDEX jobs_orphaned ON plugwave.jobs(profile, id) WHERE place = 5;
-- What is left for whom; costs nothing where no job names a profile.
CREATE INDEX jobs_named ON plugwave.jobs(profile) WHERE place < 6 AND profile <> '';
