-- Words for the seeded tickets: four more messages each, and the document of all of them. $1 how many selective words.
-- Each selective word is in the tickets of one number in $1; `parcel` in three of ten, `refund` in one of ten.
WITH numbered AS MATERIALIZED (
    SELECT id, created_at, n, hashint8(n)::bigint + 2147483648 AS h
    FROM (SELECT id, created_at, row_number() OVER (ORDER BY id) AS n FROM tickets) AS t
), said AS MATERIALIZED (
    SELECT n.id, n.created_at + i * interval '1 hour' AS at, concat_ws(' ',
        CASE WHEN i = 1 THEN 'selective' || lpad((n % $1::bigint)::text, 6, '0') END,
        CASE WHEN i = 2 AND h % 10 < 3 THEN 'parcel' END, CASE WHEN i = 3 AND h % 10 = 5 THEN 'refund' END,
        'w' || (h / 10 + i * 7919) % 20000, 'w' || (h / 30 + i * 104729) % 3000, 'w' || (h / 70 + i * 31) % 500,
        'please look into this again, it has not been solved as it was promised on the phone') AS body
    FROM numbered AS n, generate_series(1, 4) AS i
), message AS (
    INSERT INTO messages (id, ticket_id, author_kind, visibility, body, created_at)
    SELECT gen_random_uuid(), id, 'agent', 'public', body, at FROM said
)
INSERT INTO ticket_search (ticket_id, all_words, public_words)
SELECT id, words, words
FROM (SELECT id, string_agg(body, ' ') AS bodies FROM said GROUP BY id) AS s,
    LATERAL (SELECT to_tsvector('simple', 'seeded ticket ' || bodies) AS words) AS v
ON CONFLICT (ticket_id) DO UPDATE SET all_words = excluded.all_words, public_words = excluded.public_words
