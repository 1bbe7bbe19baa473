-- {tickets} tickets, in the proportions of a live service: one in ten is not done, all among the newest, and of these two
-- in three have a deadline.
-- 1,000 customers, of whom one has a fifth of all; `common` is in every fifth, `middling` in one of 300, `rare` in 20.
CREATE FUNCTION pg_temp.id(kind text, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT md5(kind || n)::uuid $$;
INSERT INTO organizations (id, name) SELECT pg_temp.id('organization', n), 'O' FROM generate_series(0, 49) n;
INSERT INTO customers (id, name) SELECT pg_temp.id('customer', n), 'C' FROM generate_series(0, 999) n;
INSERT INTO agents (id, name) SELECT pg_temp.id('agent', n), 'A' FROM generate_series(0, 99) n;
INSERT INTO teams (id, key, key_folded, name) SELECT pg_temp.id('team', n), 't' || n, 't' || n, 'T' FROM generate_series(0, 9) n;
CREATE TEMP TABLE made AS
SELECT n, pg_temp.id('ticket', n) AS id, hashint4(n)::bigint + 2147483648 AS h,
    timestamptz '2026-01-01' + n * interval '1 minute' AS at, n > {tickets} * 0.8 AND n % 2 = 0 AS undone
FROM generate_series(1, {tickets}) n;
INSERT INTO tickets (id, external_id, subject, status, priority, type, channel, customer_id, organization_id, assignee_id,
    team_id, product, tags, custom_fields, created_at, updated_at, due_at, needs_human, segment)
SELECT id, CASE WHEN n % 10 = 0 THEN 'x-' || n END, 'S',
    CASE WHEN undone THEN (ARRAY['new', 'open', 'pending', 'on_hold'])[h % 4 + 1]
        ELSE (ARRAY['resolved', 'closed'])[h % 2 + 1] END,
    (ARRAY['low', 'normal', 'normal', 'high', 'urgent'])[h % 5 + 1],
    (ARRAY['question', 'incident', 'problem', 'task', 'complaint', 'return'])[h / 5 % 6 + 1],
    (ARRAY['web', 'email', 'phone', 'chat', 'social', 'api'])[h / 30 % 6 + 1],
    pg_temp.id('customer', CASE WHEN h % 5 = 0 THEN 0 ELSE h / 5 % 1000 END),
    CASE WHEN h % 3 > 0 THEN pg_temp.id('organization', h / 3 % 50) END,
    CASE WHEN h % 7 > 0 THEN pg_temp.id('agent', CASE WHEN h % 7 = 1 THEN 0 ELSE h / 7 % 100 END) END,
    CASE WHEN h % 11 > 0 THEN pg_temp.id('team', h / 11 % 10) END,
    CASE WHEN h % 2 = 0 THEN 'p' || (h / 2 % 20) END,
    CASE WHEN n % ({tickets} / 20) = 0 THEN ARRAY['rare'] WHEN h % 13 = 0 THEN ARRAY['common', 'other'] ELSE '{{}}' END,
    '{{}}', at, at + (h % 100000) * interval '1 second',
    CASE WHEN undone AND h % 3 > 0 THEN clock_timestamp() + (h % 1000000 - 500) * interval '1 second' END,
    undone AND h % 97 = 0,
    CASE WHEN n % ({tickets} / 20) = 0 THEN 'rare' WHEN h % 3 = 0 THEN 'a third' END
FROM made;
INSERT INTO sla_clocks (id, ticket_id, metric, cycle, started_at, target_seconds, warn_at_percent, bot_counts, due_at,
    warnings, stopped_at, ended_at)
SELECT t.id, t.id, 'first_response', 1, t.created_at, 90, '{{80}}', false, coalesce(t.due_at, t.created_at + interval '90 s'),
    ARRAY[coalesce(t.due_at, t.created_at) - interval '10 minutes'],
    CASE WHEN t.due_at IS NULL THEN t.created_at + (n % 100) * interval '1 s' END,
    CASE WHEN t.due_at IS NULL THEN t.created_at + (n % 100) * interval '1 s' END
FROM tickets t JOIN made ON made.id = t.id;
INSERT INTO ticket_followers (ticket_id, agent_id) SELECT id, pg_temp.id('agent', h % 100) FROM made WHERE h % 500 = 0;
DROP INDEX ix_ticket_search_all_words;
INSERT INTO ticket_search (ticket_id, all_words, public_words)
SELECT id, words, words FROM made, LATERAL (SELECT to_tsvector('simple', concat_ws(' ', n,
    CASE WHEN h % 5 = 0 THEN 'common' END, CASE WHEN h % 300 = 0 THEN 'middling' END,
    CASE WHEN n % ({tickets} / 20) = 0 THEN 'rare' END,
    (SELECT string_agg('w' || (hashint4((n * 31 + i)::int) & 2047) * (i & 3), ' ') FROM generate_series(1, 40) i))) AS words) v;
CREATE INDEX ix_ticket_search_all_words ON ticket_search USING gin (all_words) WITH (fastupdate = off);
