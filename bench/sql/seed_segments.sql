-- $1 segments, each of a plan and a region, with their members; as if their jobs had been done.
WITH segment AS (
    INSERT INTO segments (id, key, key_folded, name, position, rule, self_service, judged)
    SELECT gen_random_uuid(), 'segment-' || n, 'segment-' || n, 'Bench', n, jsonb_build_object('all', jsonb_build_array(
        jsonb_build_object('field', 'customer.attributes.plan', 'op', 'eq', 'value', 'plan ' || n % 10),
        jsonb_build_object('field', 'customer.region', 'op', 'eq', 'value', (ARRAY['FI', 'SE', 'NO', 'DK'])[n % 4 + 1]),
        jsonb_build_object('field', 'customer.attributes.number', 'op', 'gt', 'value', n * 1000)
    )), false, true
    FROM generate_series(1, $1::integer) AS n
    RETURNING id, rule
), version AS (
    INSERT INTO segment_versions (segment_id, version, rule) SELECT id, 1, rule FROM segment
), revision AS (
    UPDATE segment_revision SET revision = revision + 1
)
INSERT INTO segment_members (customer_id, segment_id, since, rule_version)
SELECT c.id, s.id, now(), 1 FROM segment s JOIN customers c ON c.attributes -> 'plan' = s.rule #> '{all,0,value}'
    AND c.region = s.rule #>> '{all,1,value}' AND (c.attributes -> 'number')::int > (s.rule #> '{all,2,value}')::int
