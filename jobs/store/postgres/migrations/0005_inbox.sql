-- The SQL door: other programs insert here; workers make jobs of it.  Documented in docs/sql.md.
CREATE TABLE IF NOT EXISTS plugwave.inbox (
  id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  request text NOT NULL,
  key text,
  source text NOT NULL DEFAULT 'sql',
  received_us bigint NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
  refused text
);
CREATE INDEX IF NOT EXISTS inbox_new ON plugwave.inbox(id) WHERE refused IS NULL;

-- Who may call it needs no right to any table.
CREATE OR REPLACE FUNCTION plugwave.enqueue_job(
  request jsonb, key text DEFAULT NULL, source text DEFAULT 'sql'
) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO plugwave.inbox(request, key, source)
  VALUES (request::text, key, source) RETURNING id
$$;
REVOKE ALL ON FUNCTION plugwave.enqueue_job(jsonb, text, text) FROM PUBLIC;
