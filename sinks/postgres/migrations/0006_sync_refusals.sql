-- What a synchronisation could not read: rows that were refused, and cells that cost themselves. Its run shows the first of it.
CREATE TABLE sync_refusals (
  run_id text NOT NULL,
  page integer NOT NULL,
  at timestamptz NOT NULL,
  refusals jsonb NOT NULL, -- [{line, reason, column, value, expected, refused}]
  version bigint NOT NULL,
  PRIMARY KEY (run_id, page)
);
