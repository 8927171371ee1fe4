-- Ended jobs may go, and history goes by the week.  Only additions, as seen by a statement of
-- the version before: it goes on working.  Each part is a transaction of its own that locks
-- one busy table, so that nobody waits for more than that one.

-- When a duty that any worker may do is due again; whoever moves it on does it.
CREATE TABLE IF NOT EXISTS plugwave.duties (
  name text PRIMARY KEY,
  next_us bigint NOT NULL
) WITH (fillfactor = 50);

-- Keys whose jobs have gone, by when those ended.
CREATE TABLE IF NOT EXISTS plugwave.ended_keys (
  ended_us bigint NOT NULL,
  source text NOT NULL,
  key text NOT NULL,
  job bigint NOT NULL,
  PRIMARY KEY (ended_us, source, key)
) WITH (autovacuum_vacuum_scale_factor = 0.02);

-- Up to which of its results the worker has written the lines; NULL when it does not tell.
ALTER TABLE plugwave.workers ADD COLUMN IF NOT EXISTS reported bigint;

-- Since when no job has this content; NULL while one has, or nobody has looked.
ALTER TABLE plugwave.specs ADD COLUMN IF NOT EXISTS unused_us bigint;

-- part
-- Who removes a job must find its result.
CREATE INDEX IF NOT EXISTS results_job ON plugwave.results(job);

-- part
-- History by weeks (Monday, UTC).  What there is becomes the first partition, as it stands.
-- The parent has no index of its own: each partition has, so that what there is needs no
-- other key than it has.  Numbers come from one sequence, so seq stays unique over all.
ALTER TABLE plugwave.events RENAME TO events_first;
ALTER INDEX plugwave.events_pkey RENAME TO events_first_pkey;
ALTER INDEX plugwave.events_job RENAME TO events_first_job;
CREATE SEQUENCE plugwave.event_ids;
SELECT setval('plugwave.event_ids',
              nextval(pg_get_serial_sequence('plugwave.events_first', 'seq')), false);
ALTER TABLE plugwave.events_first ALTER seq DROP IDENTITY, ALTER xid DROP DEFAULT;

CREATE TABLE plugwave.events (
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  seq bigint NOT NULL DEFAULT nextval('plugwave.event_ids'),
  job bigint NOT NULL,
  at_us bigint NOT NULL,
  project integer NOT NULL,
  state smallint NOT NULL,
  event text NOT NULL,
  data text
) PARTITION BY RANGE (at_us);

-- Where the week begins that follows an instant.
CREATE FUNCTION plugwave.week_after(at_us bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
  SELECT ((at_us - 345600000000) / 604800000000 + 1) * 604800000000 + 345600000000
$$;

-- The partitions with their bounds; none for "from the beginning" and for the one that takes
-- what no other does.
CREATE VIEW plugwave.event_weeks AS
SELECT c.relname::text AS name, b.bound = 'DEFAULT' AS rest,
       (regexp_match(b.bound, 'FROM \(''?(-?\d+)''?\)'))[1]::bigint AS from_us,
       (regexp_match(b.bound, 'TO \(''?(-?\d+)''?\)'))[1]::bigint AS to_us
  FROM pg_catalog.pg_inherits i
  JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
 CROSS JOIN LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid)) AS b(bound)
 WHERE i.inhparent = 'plugwave.events'::regclass;

-- Make partitions up to an instant; returns how many.  It runs with the rights of the schema's
-- owner, so that workers need none to create tables.
CREATE FUNCTION plugwave.add_event_weeks(until_us bigint) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  low bigint;
  part text;
  made integer := 0;
BEGIN
  SET LOCAL lock_timeout = '1s';
  LOCK TABLE plugwave.events IN SHARE UPDATE EXCLUSIVE MODE;
  SELECT max(to_us) INTO low FROM plugwave.event_weeks;
  WHILE low < until_us LOOP
    part := 'events_' || to_char(to_timestamp(low / 1000000) AT TIME ZONE 'UTC', 'YYYYMMDD');
    BEGIN
      EXECUTE format('CREATE TABLE plugwave.%I (LIKE plugwave.events INCLUDING DEFAULTS)'
                     ' WITH (autovacuum_vacuum_insert_scale_factor = 0.1)', part);
      EXECUTE format('ALTER TABLE plugwave.%I ADD PRIMARY KEY (xid, seq, project)', part);
      EXECUTE format('CREATE INDEX ON plugwave.%I (job, seq)', part);
      EXECUTE format('ALTER TABLE plugwave.events ATTACH PARTITION plugwave.%I'
                     ' FOR VALUES FROM (%s) TO (%s)', part, low, low + 604800000000);
      made := made + 1;
    EXCEPTION WHEN check_violation THEN
      NULL;  -- the rest has events of that week already: they stay there
    END;
    low := low + 604800000000;
  END LOOP;
  RETURN made;
END $$;

-- Drop the weeks that end before an instant.  Events of jobs that are still there are copied
-- first, into a partition that takes the old one's place; where that would be more than
-- most_kept, the week stays as it is.  Returns the names of those that went.
CREATE FUNCTION plugwave.drop_event_weeks(before_us bigint, most_kept integer)
RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  week record;
  kept bigint;
  total bigint;
BEGIN
  SET LOCAL lock_timeout = '200ms';
  FOR week IN SELECT * FROM plugwave.event_weeks WHERE to_us <= before_us ORDER BY to_us LOOP
    EXECUTE format('SELECT count(*), count(j.id) FROM plugwave.%I e'
                   ' LEFT JOIN plugwave.jobs j ON j.id = e.job', week.name) INTO total, kept;
    CONTINUE WHEN kept > most_kept OR (kept = total AND kept > 0);
    IF kept > 0 THEN
      EXECUTE format('CREATE TABLE plugwave.events_kept (LIKE plugwave.%I INCLUDING ALL)',
                     week.name);
      EXECUTE format('INSERT INTO plugwave.events_kept SELECT e.* FROM plugwave.%I e'
                     ' WHERE EXISTS (SELECT FROM plugwave.jobs j WHERE j.id = e.job)', week.name);
    END IF;
    EXECUTE format('ALTER TABLE plugwave.events DETACH PARTITION plugwave.%I', week.name);
    EXECUTE format('DROP TABLE plugwave.%I', week.name);
    IF kept > 0 THEN
      EXECUTE format('ALTER TABLE plugwave.events_kept RENAME TO %I', week.name);
      EXECUTE format('ALTER TABLE plugwave.events ATTACH PARTITION plugwave.%I'
                     ' FOR VALUES FROM (%s) TO (%s)', week.name,
                     coalesce(week.from_us::text, 'MINVALUE'), week.to_us);
    END IF;
    RETURN NEXT week.name;
  END LOOP;
END $$;

REVOKE ALL ON FUNCTION plugwave.add_event_weeks(bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION plugwave.drop_event_weeks(bigint, integer) FROM PUBLIC;

-- A store's clock may be ahead of the database's: what there is must fit.
DO $$
DECLARE
  now_us bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
  last_us bigint := (SELECT coalesce(max(at_us), 0) FROM plugwave.events_first);
BEGIN
  EXECUTE format('ALTER TABLE plugwave.events ATTACH PARTITION plugwave.events_first'
                 ' FOR VALUES FROM (MINVALUE) TO (%s)',
                 plugwave.week_after(greatest(now_us, last_us)));
  CREATE TABLE plugwave.events_rest PARTITION OF plugwave.events DEFAULT;
  ALTER TABLE plugwave.events_rest ADD PRIMARY KEY (xid, seq, project);
  CREATE INDEX ON plugwave.events_rest (job, seq);
  PERFORM plugwave.add_event_weeks(now_us + 5 * 604800000000);
END $$;
