-- $1 customers: of ten plans, four regions, and each with a number.
INSERT INTO customers (id, external_id, name, region, attributes)
SELECT gen_random_uuid(), 'bench-' || n, 'Bench ' || n, (ARRAY['FI', 'SE', 'NO', 'DK'])[n % 4 + 1],
    jsonb_build_object('plan', 'plan ' || n % 10, 'number', n, 'vip', n % 97 = 0)
FROM generate_series(1, $1::integer) AS n
