-- Who and what the tickets of seed_reports.sql are about: 200 agents, 12 teams, 1,000 customers of ten regions.
INSERT INTO agents (id, name) SELECT pg_temp.uuid7(now()), 'Agent ' || n FROM generate_series(1, 200) AS n;
INSERT INTO teams (id, key, key_folded, name) SELECT pg_temp.uuid7(now()), 'team-' || n, 'team-' || n, 'Team ' || n FROM generate_series(1, 12) AS n;
INSERT INTO customers (id, external_id, region) SELECT pg_temp.uuid7(now()), 'customer-' || n, 'region-' || n % 10 FROM generate_series(1, 1000) AS n;
CREATE TEMP TABLE agent_of AS SELECT row_number() OVER () - 1 AS n, id FROM agents;
CREATE TEMP TABLE team_of AS SELECT row_number() OVER () - 1 AS n, id FROM teams;
CREATE TEMP TABLE customer_of AS SELECT row_number() OVER () - 1 AS n, id, region FROM customers;
CREATE INDEX ON customer_of (n);
