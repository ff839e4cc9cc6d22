-- What people and programs read, projected from the log. `version` is the offset of the record that a row was made from:
-- an older record never overwrites a newer one.

CREATE TABLE sink_positions (
  sink text NOT NULL,
  topic text NOT NULL,
  partition integer NOT NULL,
  position bigint NOT NULL, -- next offset to read; moves in the transaction of the rows
  PRIMARY KEY (sink, topic, partition)
);

CREATE TABLE venues (
  id text PRIMARY KEY,
  name text NOT NULL,
  location text NOT NULL,
  aliases jsonb NOT NULL,
  contact_name text,
  contact_email text,
  contact_phone text,
  contact_position text,
  soundtrack_account_id text,
  soundtrack_location_id text,
  zone_count integer,
  subscription_status text,
  last_issue_date text,
  notes text,
  priority_level text,
  sla_tier text,
  volume_cap integer NOT NULL,
  provenance jsonb NOT NULL, -- {field: {source, at}}
  removed boolean NOT NULL,
  updated_at timestamptz NOT NULL,
  version bigint NOT NULL
);
CREATE INDEX idx_venues_name ON venues (lower(name), id);
CREATE INDEX idx_venues_phone ON venues (contact_phone);
CREATE INDEX idx_venues_soundtrack ON venues (soundtrack_account_id);

CREATE TABLE zones (
  venue_id text NOT NULL,
  id text NOT NULL,
  name text NOT NULL,
  status text NOT NULL, -- online, offline, unknown
  detail text NOT NULL,
  playback text,
  volume integer,
  track text,
  artist text,
  source text,
  since timestamptz,
  last_seen timestamptz,
  as_of timestamptz,
  version bigint NOT NULL,
  PRIMARY KEY (venue_id, id)
);

CREATE TABLE conversations (
  id text PRIMARY KEY,
  channel text NOT NULL,
  account text NOT NULL,
  user_id text NOT NULL,
  state text NOT NULL,
  owner text NOT NULL,
  trust text NOT NULL,
  senders jsonb NOT NULL,
  language text,
  venue_id text,
  venue_name text,
  contact_name text,
  contact_position text,
  issue text,
  requests jsonb NOT NULL,
  commands jsonb NOT NULL,
  opened_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  last_inbound_at timestamptz NOT NULL,
  version bigint NOT NULL
);
CREATE INDEX idx_conversations_user ON conversations (channel, user_id);
CREATE INDEX idx_conversations_opened ON conversations (opened_at DESC, id DESC);
CREATE INDEX idx_conversations_venue ON conversations (venue_id);

-- One row per message either way. `at` never changes once the content is there, so that it can become part of the key when
-- the table is partitioned by time.
CREATE TABLE messages (
  conversation_id text NOT NULL,
  id text NOT NULL, -- in: the provider's; out: ours
  direction text NOT NULL, -- in, out
  channel text NOT NULL,
  provider_id text,
  sender_id text,
  text text,
  kind text NOT NULL,
  at timestamptz NOT NULL,
  status text NOT NULL, -- queued, unknown, sent, failed, delivered, read
  reason text NOT NULL,
  error_code integer,
  version bigint NOT NULL, -- -1: only its status is known so far
  PRIMARY KEY (conversation_id, id)
);
CREATE INDEX idx_messages_thread ON messages (conversation_id, at, id);

-- Reports that name a message by the provider's id, until we know which message has it.
CREATE TABLE delivery_reports (
  conversation_id text NOT NULL,
  provider_id text NOT NULL,
  status text NOT NULL,
  reason text NOT NULL,
  error_code integer,
  PRIMARY KEY (conversation_id, provider_id)
);

-- A status replaces one of lower rank. Nothing follows `failed` but proof of the contrary.
CREATE FUNCTION status_rank(status text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT array_position(ARRAY['queued', 'unknown', 'sent', 'failed', 'delivered', 'read'], status) $$;

CREATE TABLE alerts (
  id text PRIMARY KEY,
  venue_id text,
  conversation_id text,
  department text NOT NULL,
  priority text NOT NULL,
  kind text NOT NULL,
  text text NOT NULL,
  resolved boolean NOT NULL,
  at timestamptz NOT NULL,
  version bigint NOT NULL
);
CREATE INDEX idx_alerts_at ON alerts (at DESC, id DESC);

CREATE TABLE sync_runs (
  id text PRIMARY KEY,
  source text NOT NULL,
  started_at timestamptz NOT NULL,
  ended_at timestamptz NOT NULL,
  outcome text NOT NULL, -- ok, unchanged, refused, failed, unknown
  venues integer NOT NULL,
  changed integer NOT NULL,
  errors integer NOT NULL,
  duration_ms double precision NOT NULL,
  reason text NOT NULL,
  refusals jsonb NOT NULL, -- [{line, reason}]
  version bigint NOT NULL
);
CREATE INDEX idx_sync_runs_started ON sync_runs (started_at DESC, id DESC);

CREATE TABLE dead_letters (
  log_partition integer NOT NULL, -- where it lies in the topic of dead letters
  log_offset bigint NOT NULL,
  topic text NOT NULL, -- where it came from
  partition integer NOT NULL,
  "offset" bigint NOT NULL,
  key text NOT NULL,
  record_type text NOT NULL,
  value bytea NOT NULL,
  decision text NOT NULL,
  cause text NOT NULL,
  code_version text NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (log_partition, log_offset)
);
