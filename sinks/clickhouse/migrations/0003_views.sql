-- What analysts read. Times are UTC; a duration that has not ended is NULL.

-- One row each.
CREATE OR REPLACE VIEW v_conversation AS
  SELECT e.conversation_id AS conversation_id,
    argMin(e.channel, (at, log_offset)) AS channel,
    argMaxIf(e.venue_id, (at, log_offset), e.venue_id != '') AS venue_id,
    argMaxIf(e.language, (at, log_offset), e.language != '') AS language,
    min(at) AS opened_at,
    max(at) AS last_at,
    minOrNullIf(at, kind = 'identified') AS identified_at,
    argMinIf(detail, (at, log_offset), kind = 'identified') AS evidence,
    argMinIf(e.score, (at, log_offset), kind = 'identified') AS score,
    countIf(kind = 'message_in') AS messages_in,
    countIf(kind = 'message_out') AS messages_out,
    countIf(kind = 'request') AS requests,
    countIf(kind = 'request_ended' AND after = 'confirmed') AS requests_confirmed,
    minOrNullIf(at, kind = 'owner_changed' AND after = 'waiting') AS handed_over_at,
    argMinIf(detail, (at, log_offset), kind = 'owner_changed' AND after = 'waiting') AS handed_over_for,
    argMaxIf(after, (at, log_offset), kind = 'state_changed') AS state,
    if(countIf(kind = 'owner_changed') = 0, 'bot', argMaxIf(after, (at, log_offset), kind = 'owner_changed')) AS owner
  FROM conversation_events AS e
  GROUP BY e.conversation_id;

-- Of the conversations opened on a day, how many came to a venue.
CREATE OR REPLACE VIEW v_identification_funnel AS
  SELECT toDate(opened_at) AS day, channel,
    count() AS opened,
    countIf(identified_at IS NOT NULL) AS identified,
    countIf(evidence = 'exact in first message') AS identified_at_once,
    countIf(handed_over_at IS NOT NULL AND (identified_at IS NULL OR handed_over_at < identified_at)) AS handed_over_before,
    round(identified / opened, 4) AS rate,
    quantileExactInclusiveOrNullIf(0.5)(
      dateDiff('millisecond', opened_at, assumeNotNull(identified_at)), identified_at IS NOT NULL) AS median_ms
  FROM v_conversation
  GROUP BY day, channel;

-- A message with its venue and language, as they were known then.
CREATE OR REPLACE VIEW v_message AS
  SELECT m.message_id AS message_id, m.direction AS direction, m.conversation_id AS conversation_id, m.channel AS channel,
    m.kind AS kind, m.text_length AS text_length, m.at AS at, e.venue_id AS venue_id, e.language AS language
  FROM messages AS m
  LEFT JOIN (
    SELECT conversation_id, message_id, any(venue_id) AS venue_id, any(language) AS language
    FROM conversation_events WHERE kind IN ('message_in', 'message_out') GROUP BY conversation_id, message_id
  ) AS e ON e.conversation_id = m.conversation_id AND e.message_id = m.message_id;

-- Each message of a person, with the first answer to it.
CREATE OR REPLACE VIEW v_response_time AS
  SELECT q.conversation_id AS conversation_id, q.message_id AS message_id, q.channel AS channel, a.venue_id AS venue_id,
    q.asked_at AS asked_at, a.answered_at AS answered_at, dateDiff('millisecond', asked_at, answered_at) AS response_ms
  FROM (
    SELECT conversation_id, message_id, any(channel) AS channel, min(at) AS asked_at
    FROM conversation_events WHERE kind = 'message_in' GROUP BY conversation_id, message_id
  ) AS q
  LEFT JOIN (
    SELECT conversation_id, answers, argMin(venue_id, at) AS venue_id, toNullable(min(at)) AS answered_at
    FROM conversation_events WHERE kind = 'message_out' AND answers != '' GROUP BY conversation_id, answers
  ) AS a ON a.conversation_id = q.conversation_id AND a.answers = q.message_id;

-- From when to when a zone had a status; the last one lasts until now.
CREATE OR REPLACE VIEW v_zone_interval AS
  SELECT venue_id, zone_id, status, detail, at AS since,
    leadInFrame(at, 1, now64(3, 'UTC')) OVER (
      PARTITION BY venue_id, zone_id ORDER BY at, log_offset ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ) AS until
  FROM zone_states;

-- Of each day (UTC), how long a zone was what. Uptime leaves out what is not known.
CREATE OR REPLACE VIEW v_zone_uptime AS
  SELECT day, venue_id, zone_id,
    sumIf(seconds, status = 'online') AS online_s,
    sumIf(seconds, status = 'offline') AS offline_s,
    sumIf(seconds, status = 'unknown') AS unknown_s,
    if(online_s + offline_s = 0, NULL, round(online_s / (online_s + offline_s), 4)) AS uptime
  FROM (
    SELECT venue_id, zone_id, status,
      arrayJoin(arrayMap(n -> toDate(since) + n, range(toUInt32(dateDiff('day', since, greatest(since, until)) + 1)))) AS day,
      dateDiff('millisecond', greatest(since, toDateTime64(day, 3, 'UTC')), least(until, toDateTime64(day + 1, 3, 'UTC'))) / 1000 AS seconds
    FROM v_zone_interval
  )
  GROUP BY day, venue_id, zone_id;

-- Each zone that a request was to change, or the request itself where it was refused before any zone was looked at.
CREATE OR REPLACE VIEW v_command AS
  SELECT c.request_id AS request_id, c.zone_id AS zone_id, c.venue_id AS venue_id, c.kind AS kind,
    if(c.outcome = '', 'pending', c.outcome) AS outcome, c.reason AS reason, c.command_id AS command_id,
    c.volume_from AS volume_from, c.volume_to AS volume_to, r.requested_at AS requested_at, c.sent_at AS sent_at,
    c.ended_at AS ended_at, dateDiff('millisecond', requested_at, ended_at) AS duration_ms
  FROM (
    SELECT s.request_id AS request_id, s.zone_id AS zone_id, any(s.venue_id) AS venue_id,
      argMax(s.kind, (s.step = 'ended', s.at)) AS kind, max(s.outcome) AS outcome, maxIf(s.reason, s.outcome != '') AS reason,
      max(s.command_id) AS command_id, argMax(s.volume_from, s.at) AS volume_from, argMax(s.volume_to, s.at) AS volume_to,
      minOrNullIf(s.at, s.step = 'sent') AS sent_at, maxOrNullIf(s.at, s.outcome != '') AS ended_at
    FROM commands AS s
    WHERE s.zone_id != '' OR s.outcome != ''
    GROUP BY s.request_id, s.zone_id
  ) AS c
  LEFT JOIN (
    SELECT request_id, toNullable(min(at)) AS requested_at FROM commands WHERE step = 'requested' GROUP BY request_id
  ) AS r ON r.request_id = c.request_id;

-- Each message that went out, and what became of it.
CREATE OR REPLACE VIEW v_delivery AS
  SELECT m.message_id AS message_id, m.conversation_id AS conversation_id, m.channel AS channel, m.at AS queued_at,
    if(s.status = '', 'queued', s.status) AS status, s.error_code AS error_code,
    s.sent_at AS sent_at, s.delivered_at AS delivered_at, s.read_at AS read_at
  FROM messages AS m
  LEFT JOIN (
    SELECT r.conversation_id AS conversation_id, r.message_id AS message_id, argMax(r.status, r.rank) AS status,
      argMax(r.error_code, r.rank) AS error_code, minOrNullIf(r.at, r.status = 'sent') AS sent_at,
      minOrNullIf(r.at, r.status = 'delivered') AS delivered_at, minOrNullIf(r.at, r.status = 'read') AS read_at
    FROM (
      SELECT conversation_id, message_id, status, rank, error_code, at FROM deliveries WHERE message_id != ''
      UNION ALL
      SELECT d.conversation_id, k.message_id, d.status, d.rank, d.error_code, d.at
      FROM deliveries AS d
      INNER JOIN (
        SELECT DISTINCT conversation_id, provider_ref, message_id FROM deliveries WHERE message_id != '' AND provider_ref != ''
      ) AS k ON k.conversation_id = d.conversation_id AND k.provider_ref = d.provider_ref
      WHERE d.message_id = ''
    ) AS r
    GROUP BY r.conversation_id, r.message_id
  ) AS s ON s.conversation_id = m.conversation_id AND s.message_id = m.message_id
  WHERE m.direction = 'out';

CREATE OR REPLACE VIEW v_issue AS
  SELECT *,
    dateDiff('second', opened_at, responded_at) AS response_s,
    dateDiff('second', opened_at, resolved_at) AS resolution_s,
    due_at IS NOT NULL AND coalesce(responded_at, resolved_at, now64(3, 'UTC')) > due_at AS late
  FROM issues;

-- Each source's day.
CREATE OR REPLACE VIEW v_sync AS
  SELECT toDate(started_at) AS day, source,
    count() AS runs,
    countIf(outcome IN ('ok', 'unchanged')) AS good,
    countIf(outcome = 'refused') AS refused,
    countIf(outcome = 'failed') AS failed,
    sum(changed) AS changed,
    sum(errors) AS errors,
    round(avg(duration_ms), 1) AS mean_ms,
    maxOrNullIf(ended_at, outcome IN ('ok', 'unchanged')) AS last_good_at
  FROM sync_runs
  GROUP BY day, source;

-- The roll-ups, read.

CREATE OR REPLACE VIEW v_messages_hourly AS
  SELECT hour, venue_id, channel, direction, language,
    uniqExactMerge(messages) AS messages, uniqExactMerge(conversations) AS conversations
  FROM messages_hourly
  GROUP BY hour, venue_id, channel, direction, language;

CREATE OR REPLACE VIEW v_commands_daily AS
  SELECT day, venue_id, kind, outcome, reason, uniqExactMerge(commands) AS commands
  FROM commands_daily
  GROUP BY day, venue_id, kind, outcome, reason;

CREATE OR REPLACE VIEW v_identification_daily AS
  SELECT day, channel, language, uniqExactIfMerge(opened) AS opened, uniqExactIfMerge(identified) AS identified,
    uniqExactIfMerge(handed_over) AS handed_over
  FROM identification_daily
  GROUP BY day, channel, language;

CREATE OR REPLACE VIEW v_zone_changes_daily AS
  SELECT day, venue_id, zone_id, arraySort(groupUniqArrayMerge(changes)) AS changes
  FROM zone_changes_daily
  GROUP BY day, venue_id, zone_id;
