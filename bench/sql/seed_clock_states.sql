-- Clocks in every state: of those that have ended half were in time; of those that run one in twenty is late and one in ten is paused.
-- One agent has half of all tickets, as have a team and a segment, and another has one in ten thousand.
WITH agent AS (
    INSERT INTO agents (id, external_id, name)
    VALUES (gen_random_uuid(), 'bench many', 'Has many'), (gen_random_uuid(), 'bench few', 'Has few')
    RETURNING id, external_id
), team AS (
    INSERT INTO teams (id, key, key_folded, name) VALUES (gen_random_uuid(), 'bench', 'bench', 'Bench') RETURNING id
), numbered AS MATERIALIZED (
    SELECT id, row_number() OVER (ORDER BY id) AS n FROM tickets
), given AS (
    UPDATE tickets t SET assignee_id = a.id, team_id = CASE WHEN m.n % 2 = 0 THEN team.id END,
        segment = CASE WHEN m.n % 2 = 0 THEN 'bench' END
    FROM numbered m, agent a, team
    WHERE m.id = t.id AND a.external_id = CASE WHEN m.n % 10000 = 7 THEN 'bench few' WHEN m.n % 2 = 0 THEN 'bench many' END
), timed AS (
    SELECT c.id, m.n, c.started_at, c.started_at + r.took AS ended_at, c.ended_at IS NULL AS runs, CASE
        WHEN c.ended_at IS NOT NULL OR m.n % 200 = 0 THEN c.started_at + interval '1 hour'
        WHEN m.n % 100 <> 10 THEN now() + interval '1 day' + r.took * 100
    END AS due_at
    FROM sla_clocks c JOIN numbered m ON m.id = c.ticket_id,
        LATERAL (SELECT (m.n * 7919) % 7200 * interval '1 second' AS took) AS r
)
UPDATE sla_clocks c SET target_seconds = 3600, due_at = d.due_at, original_due_at = d.due_at, unrelieved_due_at = d.due_at, next_at = NULL,
    ended_at = CASE WHEN NOT d.runs THEN d.ended_at END, elapsed = CASE WHEN NOT d.runs THEN d.ended_at - d.started_at END,
    stopped_at = CASE WHEN NOT d.runs AND d.n % 40 >= 5 THEN d.ended_at END,
    ended_reason = CASE WHEN NOT d.runs AND d.n % 40 < 5 THEN 'merged' END,
    pauses = CASE WHEN d.due_at IS NULL THEN ARRAY[d.started_at] ELSE '{}' END
FROM timed d WHERE d.id = c.id
