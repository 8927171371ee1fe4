-- Who may ask over the network, and what a keyed call was answered.  Only additions: a program
-- of the version before goes on working.

-- The digest is the SHA-256 of the secret, which is not here.
CREATE TABLE tokens (
  name TEXT PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE,
  terms TEXT NOT NULL,            -- JSON
  by TEXT NOT NULL,
  created_us INTEGER NOT NULL,
  expires_us INTEGER,
  revoked_us INTEGER
) STRICT;

-- Written with the jobs of the call; answers is a JSON list of [verdict, job].
CREATE TABLE receipts (
  source TEXT NOT NULL,
  key TEXT NOT NULL,
  fingerprint BLOB NOT NULL,
  answers TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  PRIMARY KEY (source, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX receipts_at ON receipts(at_us);
