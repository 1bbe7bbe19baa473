-- $1 tickets, $2 every how manieth still waits for its first answer, $3 their customer, $4 the span they were created in, $5 the end of it.
-- One in two of the waiting is 'new', the other 'open'; the rest is closed. Deadlines are two years off: none falls due in a run.
WITH new AS MATERIALIZED (
    SELECT n, at, pg_temp.uuid7(at) AS id, n % $2 = 0 AS waiting
    FROM generate_series(1, $1::integer) AS n, LATERAL (SELECT $5::timestamptz - $4::interval * (1 - n / $1::float8)) AS t (at)
), ticket AS (
    INSERT INTO tickets (id, subject, status, priority, channel, customer_id, tags, custom_fields, created_at, updated_at, closed_at)
    SELECT id, 'Seeded ticket ' || n, CASE WHEN NOT waiting THEN 'closed' WHEN n / $2 % 2 = 0 THEN 'new' ELSE 'open' END,
        (ARRAY['low', 'normal', 'high', 'urgent'])[n % 4 + 1], 'web', $3::uuid, ARRAY['seeded', 'bench'], '{"plan": "pro"}', at, at,
        CASE WHEN NOT waiting THEN at END
    FROM new
), message AS (
    INSERT INTO messages (id, ticket_id, author_kind, visibility, body, created_at)
    SELECT pg_temp.uuid7(at), id, 'customer', 'public', 'The parcel has not arrived yet, what shall I do?', at FROM new
), event AS (
    INSERT INTO events (id, ticket_id, type, data, created_at)
    SELECT pg_temp.uuid7(at), id, 'ticket.created', jsonb_build_object('subject', 'Seeded ticket ' || n), at FROM new
)
INSERT INTO sla_clocks (id, ticket_id, metric, state, target_seconds, started_at, due_at, stopped_at)
SELECT pg_temp.uuid7(at), id, 'first_response', CASE WHEN waiting THEN 'running' ELSE 'met' END, 63072000, at,
    at + interval '63072000 seconds', CASE WHEN NOT waiting THEN at END
FROM new
