-- Roll-ups, kept longer than what they are made of. They hold sets of ids rather than sums, so that what comes twice is there once.
-- They deduplicate no blocks: an insert that is repeated is fed to them again, and mends what broke off between table and roll-up.

CREATE TABLE IF NOT EXISTS messages_hourly (
  hour DateTime('UTC') CODEC(Delta, ZSTD(1)),
  venue_id LowCardinality(String),
  channel LowCardinality(String),
  direction LowCardinality(String),
  language LowCardinality(String),
  messages AggregateFunction(uniqExact, String),
  conversations AggregateFunction(uniqExact, String)
) ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (venue_id, channel, direction, language, hour)
TTL hour + INTERVAL 5 YEAR
SETTINGS ttl_only_drop_parts = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS messages_hourly_feed TO messages_hourly AS
  SELECT toStartOfHour(at)::DateTime('UTC') AS hour, venue_id, channel, if(kind = 'message_in', 'in', 'out') AS direction, language,
    uniqExactState(message_id) AS messages, uniqExactState(conversation_id) AS conversations
  FROM conversation_events
  WHERE kind IN ('message_in', 'message_out')
  GROUP BY hour, venue_id, channel, direction, language;

CREATE TABLE IF NOT EXISTS commands_daily (
  day Date CODEC(Delta, ZSTD(1)),
  venue_id LowCardinality(String),
  kind LowCardinality(String),
  outcome LowCardinality(String),
  reason LowCardinality(String),
  commands AggregateFunction(uniqExact, String, String)
) ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (venue_id, kind, outcome, reason, day)
TTL day + INTERVAL 5 YEAR
SETTINGS ttl_only_drop_parts = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS commands_daily_feed TO commands_daily AS
  SELECT toDate(at) AS day, venue_id, kind, outcome, reason, uniqExactState(request_id, zone_id) AS commands
  FROM commands
  WHERE outcome != ''
  GROUP BY day, venue_id, kind, outcome, reason;

CREATE TABLE IF NOT EXISTS identification_daily (
  day Date CODEC(Delta, ZSTD(1)),
  channel LowCardinality(String),
  language LowCardinality(String),
  opened AggregateFunction(uniqExactIf, String, UInt8),
  identified AggregateFunction(uniqExactIf, String, UInt8),
  handed_over AggregateFunction(uniqExactIf, String, UInt8)
) ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (channel, language, day)
TTL day + INTERVAL 5 YEAR
SETTINGS ttl_only_drop_parts = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS identification_daily_feed TO identification_daily AS
  SELECT toDate(at) AS day, channel, language,
    uniqExactIfState(conversation_id, kind = 'opened') AS opened,
    uniqExactIfState(conversation_id, kind = 'identified') AS identified,
    uniqExactIfState(conversation_id, kind = 'owner_changed' AND after = 'waiting') AS handed_over
  FROM conversation_events
  WHERE kind IN ('opened', 'identified') OR (kind = 'owner_changed' AND after = 'waiting')
  GROUP BY day, channel, language;

-- A zone's changes of a day: what its uptime is computed from once the events themselves have gone.
CREATE TABLE IF NOT EXISTS zone_changes_daily (
  day Date CODEC(Delta, ZSTD(1)),
  venue_id LowCardinality(String),
  zone_id String CODEC(ZSTD(1)),
  changes AggregateFunction(groupUniqArray, Tuple(DateTime64(3, 'UTC'), String))
) ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (venue_id, zone_id, day)
TTL day + INTERVAL 5 YEAR
SETTINGS ttl_only_drop_parts = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS zone_changes_daily_feed TO zone_changes_daily AS
  SELECT toDate(at) AS day, venue_id, zone_id, groupUniqArrayState((at, status::String)) AS changes
  FROM zone_states
  GROUP BY day, venue_id, zone_id;
