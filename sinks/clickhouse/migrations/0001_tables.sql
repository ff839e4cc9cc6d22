-- What the log's records make. No text, no phone, no name, no id of a person: a message is known by its digest, its length and its
-- conversation.
--
-- Every table has where its row comes from (log_topic, log_partition, log_offset) and when that came (logged_at, the log's own time, which
-- never runs backwards in a partition: so the parts of one batch lie in one month). `not_after` is the fence against a writer that
-- wakes up late: past it the server refuses its rows.

CREATE TABLE IF NOT EXISTS conversation_events (
  event_id String CODEC(ZSTD(1)),
  conversation_id String CODEC(ZSTD(1)),
  channel LowCardinality(String),
  kind LowCardinality(String), -- opened, identified, state_changed, intent, owner_changed, message_in, message_out …
  venue_id LowCardinality(String), -- '' while it is not known
  language LowCardinality(String),
  before LowCardinality(String), -- of a state, an owner, a trust
  after LowCardinality(String), -- of a state, an owner, a trust, a status, an outcome
  detail LowCardinality(String), -- intent, reason, evidence, words said
  score Nullable(Float32),
  runner_up Nullable(Float32),
  message_id String CODEC(ZSTD(1)),
  answers String CODEC(ZSTD(1)), -- message_out: the message that it answers
  request_id String CODEC(ZSTD(1)),
  at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  logged_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  log_topic LowCardinality(String),
  log_partition UInt16,
  log_offset UInt64 CODEC(Delta, ZSTD(1)),
  not_after DateTime('UTC') DEFAULT toDateTime('2106-01-01 00:00:00', 'UTC') CODEC(ZSTD(1)),
  INDEX by_conversation conversation_id TYPE bloom_filter GRANULARITY 4,
  CONSTRAINT in_time CHECK not_after >= now()
) ENGINE = MergeTree
PARTITION BY toYYYYMM(logged_at)
ORDER BY (kind, venue_id, at, event_id)
TTL toDateTime(logged_at) + INTERVAL 24 MONTH
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

-- A webhook may bring a message twice: rows of one message fold into one.
CREATE TABLE IF NOT EXISTS message_log (
  message_id String CODEC(ZSTD(1)), -- in: digest of the provider's id, as in conversation_events; out: ours
  direction LowCardinality(String), -- in, out
  conversation_id String CODEC(ZSTD(1)),
  channel LowCardinality(String),
  kind LowCardinality(String), -- text, button, list, sticker, media …
  text_length UInt32 CODEC(T64, ZSTD(1)), -- characters
  choices UInt8, -- buttons or rows offered
  at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)), -- in: the provider's time; out: when it was decided
  received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  logged_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  log_topic LowCardinality(String),
  log_partition UInt16,
  log_offset UInt64 CODEC(Delta, ZSTD(1)),
  not_after DateTime('UTC') DEFAULT toDateTime('2106-01-01 00:00:00', 'UTC') CODEC(ZSTD(1)),
  INDEX by_conversation conversation_id TYPE bloom_filter GRANULARITY 4,
  CONSTRAINT in_time CHECK not_after >= now()
) ENGINE = ReplacingMergeTree(log_offset)
PARTITION BY toYYYYMM(logged_at)
ORDER BY (direction, channel, at, conversation_id, message_id)
TTL toDateTime(logged_at) + INTERVAL 24 MONTH
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

-- What became of messages that went out; by our id, by a digest of the provider's, or both.
CREATE TABLE IF NOT EXISTS deliveries (
  conversation_id String CODEC(ZSTD(1)),
  message_id String CODEC(ZSTD(1)), -- '' where only the provider's id is known
  provider_ref String CODEC(ZSTD(1)),
  status LowCardinality(String), -- queued, unknown, sent, failed, delivered, read
  rank UInt8, -- of two statuses of a message the one of higher rank holds
  error_code Int32,
  at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  logged_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  log_topic LowCardinality(String),
  log_partition UInt16,
  log_offset UInt64 CODEC(Delta, ZSTD(1)),
  not_after DateTime('UTC') DEFAULT toDateTime('2106-01-01 00:00:00', 'UTC') CODEC(ZSTD(1)),
  CONSTRAINT in_time CHECK not_after >= now()
) ENGINE = MergeTree
PARTITION BY toYYYYMM(logged_at)
ORDER BY (conversation_id, message_id, provider_ref, rank)
TTL toDateTime(logged_at) + INTERVAL 24 MONTH
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS venue_events (
  event_id String CODEC(ZSTD(1)),
  venue_id LowCardinality(String),
  kind LowCardinality(String), -- created, changed, removed, zone_online, request, command, command_ended …
  zone_id String CODEC(ZSTD(1)),
  request_id String CODEC(ZSTD(1)),
  command_id String CODEC(ZSTD(1)),
  detail String CODEC(ZSTD(3)),
  outcome LowCardinality(String),
  at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  logged_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  log_topic LowCardinality(String),
  log_partition UInt16,
  log_offset UInt64 CODEC(Delta, ZSTD(1)),
  not_after DateTime('UTC') DEFAULT toDateTime('2106-01-01 00:00:00', 'UTC') CODEC(ZSTD(1)),
  CONSTRAINT in_time CHECK not_after >= now()
) ENGINE = MergeTree
PARTITION BY toYYYYMM(logged_at)
ORDER BY (venue_id, kind, at, event_id)
TTL toDateTime(logged_at) + INTERVAL 24 MONTH
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS zone_states (
  event_id String CODEC(ZSTD(1)),
  venue_id LowCardinality(String),
  zone_id String CODEC(ZSTD(1)),
  status LowCardinality(String), -- online, offline, unknown: from `at` on
  detail LowCardinality(String),
  at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  logged_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  log_topic LowCardinality(String),
  log_partition UInt16,
  log_offset UInt64 CODEC(Delta, ZSTD(1)),
  not_after DateTime('UTC') DEFAULT toDateTime('2106-01-01 00:00:00', 'UTC') CODEC(ZSTD(1)),
  CONSTRAINT in_time CHECK not_after >= now()
) ENGINE = MergeTree
PARTITION BY toYYYYMM(logged_at)
ORDER BY (venue_id, zone_id, at)
TTL toDateTime(logged_at) + INTERVAL 24 MONTH
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

-- The steps of requests to a venue's zones.
CREATE TABLE IF NOT EXISTS commands (
  event_id String CODEC(ZSTD(1)),
  venue_id LowCardinality(String),
  step LowCardinality(String), -- requested, sent, ended
  request_id String CODEC(ZSTD(1)),
  command_id String CODEC(ZSTD(1)), -- '' where nothing was sent
  zone_id String CODEC(ZSTD(1)), -- '' of a request, which may be for several
  kind LowCardinality(String), -- volume_down, pause, play …
  outcome LowCardinality(String), -- confirmed, refused, unverified, expired, unknown; '' before the end
  reason LowCardinality(String),
  volume_from Nullable(Int16),
  volume_to Nullable(Int16),
  at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  logged_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  log_topic LowCardinality(String),
  log_partition UInt16,
  log_offset UInt64 CODEC(Delta, ZSTD(1)),
  not_after DateTime('UTC') DEFAULT toDateTime('2106-01-01 00:00:00', 'UTC') CODEC(ZSTD(1)),
  CONSTRAINT in_time CHECK not_after >= now()
) ENGINE = MergeTree
PARTITION BY toYYYYMM(logged_at)
ORDER BY (venue_id, step, at, request_id, zone_id)
TTL toDateTime(logged_at) + INTERVAL 24 MONTH
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS sync_runs (
  run_id String CODEC(ZSTD(1)),
  source LowCardinality(String),
  outcome LowCardinality(String), -- ok, unchanged, refused, failed
  venues UInt32,
  changed UInt32,
  errors UInt32,
  duration_ms Float64,
  started_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  ended_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  logged_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  log_topic LowCardinality(String),
  log_partition UInt16,
  log_offset UInt64 CODEC(Delta, ZSTD(1)),
  not_after DateTime('UTC') DEFAULT toDateTime('2106-01-01 00:00:00', 'UTC') CODEC(ZSTD(1)),
  CONSTRAINT in_time CHECK not_after >= now()
) ENGINE = MergeTree
PARTITION BY toYYYYMM(logged_at)
ORDER BY (source, started_at, run_id)
TTL toDateTime(logged_at) + INTERVAL 24 MONTH
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

-- Every version of an issue; the newest is the one of the highest offset.
CREATE TABLE IF NOT EXISTS issue_log (
  issue_id String CODEC(ZSTD(1)),
  conversation_id String CODEC(ZSTD(1)),
  channel LowCardinality(String),
  venue_id LowCardinality(String),
  department LowCardinality(String),
  priority LowCardinality(String),
  reason LowCardinality(String),
  status LowCardinality(String), -- open, acknowledged, resolved
  opened_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  due_at Nullable(DateTime64(3, 'UTC')),
  responded_at Nullable(DateTime64(3, 'UTC')),
  resolved_at Nullable(DateTime64(3, 'UTC')),
  updated_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  logged_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  log_topic LowCardinality(String),
  log_partition UInt16,
  log_offset UInt64 CODEC(Delta, ZSTD(1)),
  not_after DateTime('UTC') DEFAULT toDateTime('2106-01-01 00:00:00', 'UTC') CODEC(ZSTD(1)),
  CONSTRAINT in_time CHECK not_after >= now()
) ENGINE = ReplacingMergeTree(log_offset)
PARTITION BY toYYYYMM(logged_at)
ORDER BY (opened_at, issue_id)
TTL toDateTime(logged_at) + INTERVAL 24 MONTH
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

CREATE OR REPLACE VIEW messages AS
  SELECT message_id, direction, conversation_id, channel, kind, text_length, choices, at, received_at, logged_at
  FROM message_log FINAL;

CREATE OR REPLACE VIEW issues AS
  SELECT issue_id, conversation_id, channel, venue_id, department, priority, reason, status,
    opened_at, due_at, responded_at, resolved_at, updated_at
  FROM issue_log FINAL;

-- Which store this is: positions kept elsewhere are of this one, and of no other made in its place.
CREATE TABLE IF NOT EXISTS store_identity (id UUID) ENGINE = MergeTree ORDER BY id;
INSERT INTO store_identity SELECT generateUUIDv4() FROM system.one WHERE (SELECT count() FROM store_identity) = 0;
