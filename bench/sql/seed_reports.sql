-- Tickets since the beginning of 2025, ten million a year, each about nine things, with clocks of five metrics. $1 the first one's number,
-- $2 how many; those from $3 on are open.
WITH new AS MATERIALIZED (
    SELECT n, timestamptz '2025-01-01Z' + interval '365 days' * (n / 1e7) AS at, n >= $3::bigint AS waiting,
        hashint8(n) & 2147483647 AS h, abs(hashint8(n * 31 + 7)::bigint) AS g
    FROM generate_series($1::bigint, $1::bigint + $2::bigint - 1) AS n
), about AS MATERIALIZED (
    SELECT new.*, pg_temp.uuid7(at) AS id, agent_of.id AS agent_id, team_of.id AS team_id, customer_of.id AS customer_id, region,
        (ARRAY['low', 'normal', 'normal', 'high', 'urgent'])[h % 5 + 1] AS priority,
        (ARRAY['web', 'email', 'phone', 'chat'])[h / 5 % 4 + 1] AS channel,
        (ARRAY['question', 'incident', 'problem', 'task'])[h / 20 % 4 + 1] AS type,
        'product-' || h / 80 % 30 AS product, 'segment-' || h / 2400 % 6 AS segment,
        -- From seconds to hours, half of them within a minute.
        (exp(3.5 + 1.3 * ((g % 997) / 166.0 - 3)) * 1000000)::bigint * interval '1 microsecond' AS wait
    FROM new JOIN agent_of ON agent_of.n = g % 200 JOIN team_of ON team_of.n = g % 12 JOIN customer_of ON customer_of.n = g % 1000
), ticket AS (
    INSERT INTO tickets (id, subject, status, priority, type, channel, customer_id, assignee_id, team_id, product, segment, tags, custom_fields,
        created_at, updated_at)
    SELECT id, 'Seeded ' || n, CASE WHEN waiting THEN 'open' ELSE 'closed' END, priority, type, channel, customer_id, agent_id, team_id, product,
        segment, '{}', '{}', at, at
    FROM about
)
INSERT INTO sla_clocks (id, ticket_id, metric, cycle, started_at, promised_seconds, target_seconds, pause_on, warn_at_percent, warnings, bot_counts,
    due_at, original_due_at, unrelieved_due_at, stopped_at, ended_at, elapsed, responder_id, assignee_id, team_id, customer_id, priority, type,
    channel, product, region)
SELECT pg_temp.uuid7(at), id, metric, 1, at, seconds, seconds, '{}', '{}', '{}', false, due_at, due_at, due_at, stop, stop,
    CASE WHEN NOT waits THEN wait * factor END, CASE WHEN NOT waits THEN agent_id END, CASE WHEN NOT waits THEN agent_id END,
    CASE WHEN NOT waits THEN team_id END, CASE WHEN NOT waits THEN customer_id END, CASE WHEN NOT waits THEN priority END,
    CASE WHEN NOT waits THEN type END, CASE WHEN NOT waits THEN channel END, CASE WHEN NOT waits THEN product END, CASE WHEN NOT waits THEN region END
FROM about, (VALUES ('first_response', 90, 1, 1), ('resolution', 86400, 40, 1), ('next_response', 300, 2, 3), ('periodic_update', 3600, 6, 6),
        ('promise', 7200, 9, 12)) AS m (metric, seconds, factor, one_in),
    LATERAL (SELECT at + seconds * interval '1 second' AS due_at, waiting AND (metric = 'resolution' OR h % 10 = 0) AS waits) AS d,
    LATERAL (SELECT CASE WHEN NOT waits THEN at + wait * factor END AS stop) AS e
WHERE h % one_in = 0
