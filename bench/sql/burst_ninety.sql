-- $1 running clocks anywhere in the table fall due at $2, 10 microseconds apart. Start, target and deadline stay consistent,
-- because the sweep decides again from the row. Seeded deadlines are two years off: newer ones belong to other cases.
WITH chosen AS MATERIALIZED (
    SELECT id FROM sla_clocks
    WHERE metric = 'first_response' AND ended_at IS NULL AND due_at > now() + interval '90 days' ORDER BY random() LIMIT $1::integer
), due AS MATERIALIZED (
    SELECT id, $2::timestamptz + row_number() OVER () * interval '10 microseconds' AS at FROM chosen
)
UPDATE sla_clocks AS clock
SET target_seconds = 90, promised_seconds = 90, started_at = due.at - interval '90 seconds', due_at = due.at, original_due_at = due.at, unrelieved_due_at = due.at,
    next_at = due.at
FROM due WHERE clock.id = due.id
RETURNING clock.id
