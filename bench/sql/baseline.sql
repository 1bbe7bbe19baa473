-- The tables of the ceiling and of the naive service, made in whichever schema is first in the search path.
-- Keys, one list index, one index of running clocks: what any sane design has, and nothing that only a real service needs.
CREATE TABLE tickets (
    id uuid PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    subject text NOT NULL,
    status text NOT NULL DEFAULT 'new',
    priority text NOT NULL,
    type text,
    channel text NOT NULL,
    customer_id uuid NOT NULL,
    assignee_id uuid,
    team_id uuid,
    tags text[] NOT NULL DEFAULT '{}',
    custom_fields jsonb NOT NULL DEFAULT '{}',
    external_id text UNIQUE,
    product text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    closed_at timestamptz,
    version integer NOT NULL DEFAULT 1
);
CREATE INDEX ON tickets (status, created_at, id);

CREATE TABLE messages (
    id uuid PRIMARY KEY,
    ticket_id uuid NOT NULL REFERENCES tickets,
    author_kind text NOT NULL,
    visibility text NOT NULL,
    body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON messages (ticket_id, created_at, id);

CREATE TABLE events (
    id uuid PRIMARY KEY,
    ticket_id uuid NOT NULL REFERENCES tickets,
    type text NOT NULL,
    data jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON events (ticket_id, id);

CREATE TABLE sla_clocks (
    id uuid PRIMARY KEY,
    ticket_id uuid NOT NULL REFERENCES tickets,
    metric text NOT NULL,
    cycle integer NOT NULL DEFAULT 1,
    state text NOT NULL,
    target_seconds integer,
    started_at timestamptz NOT NULL,
    due_at timestamptz,
    stopped_at timestamptz,
    UNIQUE (ticket_id, metric, cycle)
);
CREATE INDEX ON sla_clocks (due_at) WHERE state = 'running';
