-- What is about to be forced upon a venue and no two may have: held from the check until the outcome is known, so that of two who ask
-- at once one is refused.
CREATE TABLE override_claims (
  field text NOT NULL,
  value text NOT NULL,
  venue_id text NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (field, value)
);
