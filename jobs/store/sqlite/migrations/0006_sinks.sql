-- How far each receiver of events is.  Only additions.
CREATE TABLE sinks (
  name TEXT PRIMARY KEY,
  body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
