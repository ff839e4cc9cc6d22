-- Who has been erased: what is older than this of a conversation is not there, whatever still comes of it from the log.
CREATE TABLE erasures (
  conversation_id text NOT NULL,
  topic text NOT NULL, -- the inbox that the order was on
  at timestamptz NOT NULL, -- the conversation's time of it
  logged_at timestamptz NOT NULL,
  version bigint NOT NULL, -- the order's offset
  PRIMARY KEY (conversation_id, topic)
);

-- Digests of the ids of erased messages, so that one that the provider delivers again is known.
CREATE TABLE erased_messages (
  conversation_id text NOT NULL,
  ref text NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (conversation_id, ref)
);

-- Dead letters that held an erased person's number under no conversation's key, such as parts of webhooks that could not be read.
CREATE TABLE erased_letters (
  log_partition integer NOT NULL,
  log_offset bigint NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (log_partition, log_offset)
);

-- Receipts: kept here alone. Nothing in them says who it was to those who do not know it already.
CREATE TABLE person_erasures (
  id text PRIMARY KEY,
  channel text NOT NULL,
  whom text NOT NULL, -- digest under a key of the installation
  conversations text[] NOT NULL,
  shared text[] NOT NULL, -- conversations with others, which stay
  reason text NOT NULL,
  requested_by text NOT NULL,
  at timestamptz NOT NULL,
  found jsonb NOT NULL, -- rows by table
  marks jsonb NOT NULL, -- where compacted topics ended: [{topic, key, partition, offset}]
  verified_at timestamptz
);

CREATE INDEX idx_issues_conversation ON issues (conversation_id);
CREATE INDEX idx_alerts_conversation ON alerts (conversation_id) WHERE conversation_id IS NOT NULL;
