-- Jobs age: a point of priority is worth ten minutes of waiting, so none waits for ever.
--
-- Only what follows from columns that never change is in these indexes, so a job has its place
-- from the start and nothing is written while it waits.
DROP INDEX jobs_ready;
DROP INDEX jobs_behind;
-- claim: one lane for each profile and project, in order.
CREATE INDEX jobs_ready ON jobs(profile, project,
  (max(created_us, ifnull(not_before_us, 0)) - priority * 600000000), id) WHERE state = 2;
-- Who follows when a pool gets free.
CREATE INDEX jobs_behind ON jobs(pool,
  (max(created_us, ifnull(not_before_us, 0)) - priority * 600000000), id)
  WHERE state = 1 AND reason = 9 AND run_at_us IS NULL;
