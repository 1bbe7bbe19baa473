-- The real service's tables; the parameters and proportions are those of seed_baseline.sql.
-- $1 tickets, $2 every how manieth still waits for its first answer, $3 their customer, $4 the span they were created in, $5 the end of it.
WITH new AS MATERIALIZED (
    SELECT n, at, pg_temp.uuid7(at) AS id, n % $2 = 0 AS waiting
    FROM generate_series(1, $1::integer) AS n, LATERAL (SELECT $5::timestamptz - $4::interval * (1 - n / $1::float8)) AS t (at)
), ticket AS (
    INSERT INTO tickets (id, subject, status, priority, type, channel, customer_id, tags, custom_fields, created_at, updated_at, closed_at, due_at)
    SELECT id, 'Seeded ticket ' || n, CASE WHEN NOT waiting THEN 'closed' WHEN n / $2 % 2 = 0 THEN 'new' ELSE 'open' END,
        (ARRAY['low', 'normal', 'high', 'urgent'])[n % 4 + 1], 'question', 'web', $3::uuid, ARRAY['seeded', 'bench'], '{"plan": "pro"}', at, at,
        CASE WHEN NOT waiting THEN at END, CASE WHEN waiting THEN at + interval '63072000 seconds' END
    FROM new
), message AS (
    INSERT INTO messages (id, ticket_id, author_kind, author_id, visibility, body, created_at)
    SELECT pg_temp.uuid7(at), id, 'customer', $3::uuid, 'public', 'The parcel has not arrived yet, what shall I do?', at FROM new
), event AS (
    INSERT INTO events (type, occurred_at, recorded_at, actor_kind, actor_id, subject_id, ticket_id, data)
    SELECT 'ticket.created', at, at, 'customer', $3::uuid, id, id, jsonb_build_object('subject', 'Seeded ticket ' || n)
    FROM new
), reader AS (
    -- The worker need not make an index of all these: where a case searches, it seeds what is found.
    INSERT INTO event_readers (name, xid, event_id) VALUES ('search', pg_current_xact_id(), 9223372036854775807)
    ON CONFLICT (name) DO UPDATE SET xid = excluded.xid, event_id = excluded.event_id, within = NULL
)
INSERT INTO sla_clocks (id, ticket_id, metric, cycle, started_at, promised_seconds, target_seconds, pause_on, warn_at_percent, warnings,
    bot_counts, due_at, original_due_at, unrelieved_due_at, stopped_at, ended_at, elapsed, next_at)
SELECT pg_temp.uuid7(at), id, metric, 1, at, seconds, seconds, CASE metric WHEN 'resolution' THEN '{on_hold,pending}'::text[] ELSE '{}' END,
    '{}', '{}', false, due_at, due_at, due_at, CASE WHEN NOT waiting THEN at END, CASE WHEN NOT waiting THEN at END,
    CASE WHEN NOT waiting THEN interval '0' END, CASE WHEN waiting THEN due_at END
FROM new, (VALUES ('first_response', 63072000), ('resolution', NULL)) AS m (metric, seconds),
    LATERAL (SELECT at + seconds * interval '1 second') AS d (due_at)
