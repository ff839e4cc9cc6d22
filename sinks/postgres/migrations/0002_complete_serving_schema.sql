-- The rest of what people and programs read. Conversations and messages lie in monthly partitions, made ahead; what is not
-- projected from the log (people, keys, commands given) is kept here alone.

CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- End of a batch that was begun in a store without transactions (ClickHouse): it is repeated exactly, null where none is open.
ALTER TABLE sink_positions ADD COLUMN until bigint;

-- Makes the partition of a month of a table that is partitioned by this column, unless it is there. What has come to lie in the
-- default partition meanwhile moves into it; the default one takes what is far from now, and should be empty.
CREATE FUNCTION make_month(parent text, by_column text, month date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  first text := date_trunc('month', month)::date::text || ' 00:00:00+00';
  next text := (date_trunc('month', month) + interval '1 month')::date::text || ' 00:00:00+00';
  name text := format('%s_%s', parent, to_char(month, 'YYYY_MM'));
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext(name));
  IF to_regclass(format('%I', name)) IS NOT NULL THEN RETURN; END IF;
  EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name, parent);
  EXECUTE format('WITH gone AS (DELETE FROM %I WHERE %I >= %L AND %I < %L RETURNING *) INSERT INTO %I SELECT * FROM gone',
    parent || '_default', by_column, first, by_column, next, name);
  EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, name, first, next);
END $$;

-- Venues

ALTER TABLE venues
  ADD COLUMN region text GENERATED ALWAYS AS (lower(trim(regexp_replace(location, '^.*,', '')))) STORED,
  ADD COLUMN names text GENERATED ALWAYS AS (lower(name || ' ' || aliases::text)) STORED, -- what is searched
  ADD COLUMN overrides jsonb NOT NULL DEFAULT '[]', -- [{field, by, reason, at}]
  ADD COLUMN commands jsonb NOT NULL DEFAULT '[]'; -- [{id, outcome, reason}]
CREATE INDEX idx_venues_names_trgm ON venues USING gin (names gin_trgm_ops);
CREATE INDEX idx_venues_region ON venues (region);

CREATE TABLE venue_events (
  id text PRIMARY KEY,
  venue_id text NOT NULL,
  kind text NOT NULL, -- created, changed, zone_online, zone_offline, command, command_ended, overridden …
  zone text,
  request text,
  command text,
  detail text,
  outcome text,
  volume_from integer,
  volume_to integer,
  at timestamptz NOT NULL,
  version bigint NOT NULL
);
CREATE INDEX idx_venue_events_venue ON venue_events (venue_id, at DESC, id DESC);

-- Conversations, by the month in which they were opened

ALTER TABLE conversations RENAME TO conversations_before;
CREATE TABLE conversations (
  id text NOT NULL,
  channel text NOT NULL,
  account text NOT NULL,
  user_id text NOT NULL,
  state text NOT NULL,
  owner text NOT NULL,
  assignee text,
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
  version bigint NOT NULL,
  PRIMARY KEY (id, opened_at)
) PARTITION BY RANGE (opened_at);
CREATE TABLE conversations_default PARTITION OF conversations DEFAULT;
SELECT make_month('conversations', 'opened_at', m::date)
  FROM (SELECT DISTINCT date_trunc('month', opened_at AT TIME ZONE 'UTC') AS m FROM conversations_before
    WHERE opened_at BETWEEN '2020-01-01' AND now()) AS months;
INSERT INTO conversations (id, channel, account, user_id, state, owner, trust, senders, language, venue_id, venue_name, contact_name,
    contact_position, issue, requests, commands, opened_at, updated_at, last_inbound_at, version)
  SELECT id, channel, account, user_id, state, owner, trust, senders, language, venue_id, venue_name, contact_name,
    contact_position, issue, requests, commands, opened_at, updated_at, last_inbound_at, version FROM conversations_before;
DROP TABLE conversations_before;
CREATE INDEX idx_conversations_user ON conversations (channel, user_id);
CREATE INDEX idx_conversations_opened ON conversations (opened_at DESC, id DESC);
CREATE INDEX idx_conversations_updated ON conversations (updated_at DESC, id DESC);
CREATE INDEX idx_conversations_venue ON conversations (venue_id, opened_at DESC);
CREATE INDEX idx_conversations_open ON conversations (owner, assignee) WHERE owner <> 'bot';
CREATE INDEX idx_conversations_names_trgm ON conversations
  USING gin (lower(coalesce(venue_name, '') || ' ' || coalesce(contact_name, '')) gin_trgm_ops);

-- Messages, by the month in which they were written

ALTER TABLE messages RENAME TO messages_before;
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
  version bigint NOT NULL,
  PRIMARY KEY (conversation_id, at, id)
) PARTITION BY RANGE (at);
CREATE TABLE messages_default PARTITION OF messages DEFAULT;
SELECT make_month('messages', 'at', m::date)
  FROM (SELECT DISTINCT date_trunc('month', at AT TIME ZONE 'UTC') AS m FROM messages_before
    WHERE at BETWEEN '2020-01-01' AND now()) AS months;
INSERT INTO messages SELECT * FROM messages_before WHERE version >= 0;
CREATE INDEX idx_messages_id ON messages (conversation_id, id);
CREATE INDEX idx_messages_provider ON messages (conversation_id, provider_id) WHERE direction = 'out';
CREATE INDEX idx_messages_text_trgm ON messages USING gin (lower(text) gin_trgm_ops);

-- What became of messages that have not come yet, by our id of them or by the provider's.
CREATE TABLE message_reports (
  conversation_id text NOT NULL,
  ref text NOT NULL,
  provider boolean NOT NULL, -- whether ref is the provider's id
  provider_id text,
  status text NOT NULL,
  reason text NOT NULL,
  error_code integer,
  at timestamptz NOT NULL,
  PRIMARY KEY (conversation_id, ref, provider)
);
INSERT INTO message_reports
  SELECT conversation_id, provider_id, true, provider_id, status, reason, error_code, now() FROM delivery_reports
  UNION ALL
  SELECT conversation_id, id, false, provider_id, status, reason, error_code, at FROM messages_before WHERE version < 0;
DROP TABLE delivery_reports;
DROP TABLE messages_before;

CREATE TABLE conversation_notes (
  id text PRIMARY KEY,
  conversation_id text NOT NULL,
  by_id text NOT NULL,
  by_name text NOT NULL,
  text text NOT NULL,
  at timestamptz NOT NULL,
  version bigint NOT NULL
);
CREATE INDEX idx_conversation_notes ON conversation_notes (conversation_id, at);

CREATE TABLE conversation_events (
  id text PRIMARY KEY,
  conversation_id text NOT NULL,
  kind text NOT NULL,
  venue_id text,
  language text,
  "from" text,
  "to" text,
  detail text,
  score double precision,
  runner_up double precision,
  message text,
  request text,
  at timestamptz NOT NULL,
  version bigint NOT NULL
);
CREATE INDEX idx_conversation_events ON conversation_events (conversation_id, at, id);

CREATE TABLE issues (
  id text PRIMARY KEY,
  conversation_id text NOT NULL,
  channel text NOT NULL,
  venue_id text,
  venue_name text,
  department text NOT NULL,
  priority text NOT NULL,
  reason text NOT NULL,
  text text,
  status text NOT NULL, -- open, acknowledged, resolved
  assignee text,
  opened_at timestamptz NOT NULL,
  due_at timestamptz,
  responded_at timestamptz,
  resolved_at timestamptz,
  resolved_by text,
  updated_at timestamptz NOT NULL,
  version bigint NOT NULL
);
CREATE INDEX idx_issues_opened ON issues (opened_at DESC, id DESC);
CREATE INDEX idx_issues_venue ON issues (venue_id, opened_at DESC);
CREATE INDEX idx_issues_unresolved ON issues (department, priority, opened_at) WHERE status <> 'resolved';

-- The archive: every record that conversations were made from, for ever, for replay and explanation. Never truncated.

CREATE TABLE schemas (
  fingerprint bytea PRIMARY KEY, -- CRC-64-AVRO of the canonical form
  schema text NOT NULL
);

CREATE TABLE conversation_archive (
  topic text NOT NULL,
  partition integer NOT NULL,
  "offset" bigint NOT NULL,
  conversation_id text NOT NULL,
  at timestamptz NOT NULL, -- log time
  record_type text NOT NULL,
  fingerprint bytea NOT NULL, -- of the schema it was written with
  value bytea NOT NULL, -- Avro, without a prefix
  headers jsonb NOT NULL,
  PRIMARY KEY (topic, partition, "offset", at)
) PARTITION BY RANGE (at);
CREATE TABLE conversation_archive_default PARTITION OF conversation_archive DEFAULT;
CREATE INDEX idx_conversation_archive ON conversation_archive (conversation_id, "offset");

CREATE INDEX idx_dead_letters_source ON dead_letters (topic, partition, "offset");
CREATE INDEX idx_dead_letters_at ON dead_letters (at DESC, log_partition DESC, log_offset DESC);
CREATE INDEX idx_dead_letters_key ON dead_letters (key);

-- What came, in order, and whether it was put into quarantine.
CREATE VIEW conversation_history AS
  SELECT a.*, coalesce(d.decision, 'handled') AS decision, d.cause
  FROM conversation_archive a
  LEFT JOIN LATERAL (
    SELECT decision, cause FROM dead_letters d
    WHERE d.topic = a.topic AND d.partition = a.partition AND d."offset" = a."offset"
    ORDER BY d.log_partition, d.log_offset DESC LIMIT 1
  ) d ON true;

-- The audit trail: a chain of hashes in the order of the log. Nobody changes it.

CREATE TABLE audit_log (
  log_partition integer NOT NULL,
  log_offset bigint NOT NULL,
  id text NOT NULL,
  actor text NOT NULL,
  actor_kind text NOT NULL, -- user, key, token, none
  role text NOT NULL,
  action text NOT NULL,
  object text,
  outcome text NOT NULL, -- done, accepted, refused, denied, failed
  status integer NOT NULL,
  personal boolean NOT NULL,
  request_id text NOT NULL,
  command text,
  before text,
  after text,
  at timestamptz NOT NULL,
  previous_hash bytea NOT NULL,
  hash bytea NOT NULL, -- SHA-256 of previous_hash and the other columns: topics/audit.ts
  PRIMARY KEY (log_partition, log_offset)
);
CREATE INDEX idx_audit_log_actor ON audit_log (actor, at DESC);
CREATE INDEX idx_audit_log_object ON audit_log (object, at DESC);
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the audit trail is never changed'; END $$;
CREATE TRIGGER audit_log_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- People: kept here alone.

CREATE TABLE users (
  id text PRIMARY KEY, -- tenant:name, or the subject of the CRM's token
  tenant text NOT NULL,
  email text NOT NULL,
  name text NOT NULL,
  role text NOT NULL, -- admin, agent, staff, analyst, ops
  regions text[], -- null: all of them
  venues text[], -- null: all of them
  password_hash text, -- argon2id; null where they log in elsewhere
  disabled boolean NOT NULL DEFAULT false,
  tokens_from timestamptz NOT NULL DEFAULT now(), -- tokens issued before are void
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX idx_users_email ON users (tenant, lower(email));

CREATE TABLE api_keys (
  id text PRIMARY KEY, -- public part of the key
  hash bytea NOT NULL, -- SHA-256 of the secret part, which is random
  tenant text NOT NULL,
  name text NOT NULL,
  role text NOT NULL,
  regions text[],
  venues text[],
  created_by text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  last_used_at timestamptz
);

-- Failed logins, by whom they were tried as and from where.
CREATE TABLE login_failures (
  subject text PRIMARY KEY, -- digest of the address or the e-mail
  failures integer NOT NULL,
  last_at timestamptz NOT NULL
);

-- Commands given through the API: whose, for what, and where their outcome is to be looked for.
CREATE TABLE commands (
  id text PRIMARY KEY,
  principal text NOT NULL,
  idempotency_key text,
  request_hash bytea NOT NULL,
  action text NOT NULL,
  target text NOT NULL, -- conversation, venue, dead_letter
  object text NOT NULL, -- its id
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (principal, idempotency_key)
);
CREATE INDEX idx_commands_created ON commands (created_at);

CREATE TABLE tenants (
  id text PRIMARY KEY,
  name text NOT NULL,
  settings jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO tenants (id, name) VALUES ('main', 'main');

-- The neighbouring business: customers, leads, tasks, bookings, follow-ups, templates.

CREATE TABLE customers (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  tenant text NOT NULL REFERENCES tenants,
  name text NOT NULL,
  email text,
  phone text,
  company text,
  business_type text,
  location text,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_customers_name_trgm ON customers USING gin (lower(name) gin_trgm_ops);
CREATE INDEX idx_customers_phone ON customers (phone);

CREATE TABLE leads (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  customer_id uuid NOT NULL REFERENCES customers ON DELETE CASCADE,
  status text NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'contacted', 'qualified', 'won', 'lost')),
  quality_score integer CHECK (quality_score BETWEEN 0 AND 100),
  priority text CHECK (priority IN ('high', 'medium', 'low')),
  requirements text,
  timeline text,
  budget text,
  assigned_to text REFERENCES users ON DELETE SET NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_leads_customer ON leads (customer_id);
CREATE INDEX idx_leads_status ON leads (status, priority, created_at DESC);

CREATE TABLE tasks (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  lead_id uuid REFERENCES leads ON DELETE CASCADE,
  title text NOT NULL,
  description text,
  type text NOT NULL CHECK (type IN ('sales', 'support', 'technical')),
  status text NOT NULL DEFAULT 'open',
  priority text NOT NULL DEFAULT 'medium',
  assigned_to text REFERENCES users ON DELETE SET NULL,
  due_date timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_tasks_assigned ON tasks (assigned_to, status, due_date);

CREATE TABLE bookings (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  lead_id uuid REFERENCES leads ON DELETE CASCADE,
  customer_id uuid NOT NULL REFERENCES customers ON DELETE CASCADE,
  scheduled_time timestamptz NOT NULL,
  duration_minutes integer NOT NULL CHECK (duration_minutes > 0),
  meeting_type text NOT NULL,
  meeting_link text,
  status text NOT NULL DEFAULT 'booked',
  notes text,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_bookings_time ON bookings (scheduled_time);

CREATE TABLE follow_ups (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  lead_id uuid NOT NULL REFERENCES leads ON DELETE CASCADE,
  message_type text NOT NULL,
  scheduled_time timestamptz NOT NULL,
  message_content text,
  sent boolean NOT NULL DEFAULT false,
  sent_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_follow_ups_due ON follow_ups (scheduled_time) WHERE NOT sent;

CREATE TABLE prompt_templates (
  name text NOT NULL,
  version integer NOT NULL,
  language text NOT NULL DEFAULT 'en',
  text text NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (name, language, version)
);
