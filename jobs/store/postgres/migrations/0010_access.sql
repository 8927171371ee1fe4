-- Who may ask over the network, and what a keyed call was answered.  Only additions: a program
-- of the version before goes on working.

-- The digest is the SHA-256 of the secret, which is not here.
CREATE TABLE IF NOT EXISTS plugwave.tokens (
  name text PRIMARY KEY,
  digest bytea NOT NULL UNIQUE,
  terms text NOT NULL,            -- JSON
  by text NOT NULL,
  created_us bigint NOT NULL,
  expires_us bigint,
  revoked_us bigint
);

-- Written with the jobs of the call; answers is a JSON list of [verdict, job].
CREATE TABLE IF NOT EXISTS plugwave.receipts (
  source text NOT NULL,
  key text NOT NULL,
  fingerprint bytea NOT NULL,
  answers text NOT NULL,
  at_us bigint NOT NULL,
  PRIMARY KEY (source, key)
);

CREATE INDEX IF NOT EXISTS receipts_at ON plugwave.receipts(at_us);
