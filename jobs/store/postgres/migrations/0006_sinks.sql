-- How far each receiver of events is.  Only additions.
CREATE TABLE IF NOT EXISTS plugwave.sinks (
  name text PRIMARY KEY,
  body text NOT NULL
);
