-- Jobs age: a point of priority is worth ten minutes of waiting, so none waits for ever.
--
-- Only what follows from columns that never change is in these indexes, so a job has its place
-- from the start and nothing is written while it waits.
DROP INDEX plugwave.jobs_ready;
DROP INDEX plugwave.jobs_behind;
-- claim: one lane for each profile and project, in order.
CREATE INDEX jobs_ready ON plugwave.jobs(profile, project,
  (greatest(created_us, not_before_us) - priority * 600000000::bigint), id) WHERE place = 1;
-- Who follows when a pool gets free.
CREATE INDEX jobs_behind ON plugwave.jobs(pool,
  (greatest(created_us, not_before_us) - priority * 600000000::bigint), id) WHERE place = 3;
