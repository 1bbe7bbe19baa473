-- The log as it was before its months: one table with the same columns.
ALTER TABLE events RENAME TO events_by_months;
CREATE TABLE events (LIKE events_by_months INCLUDING DEFAULTS);
ALTER TABLE events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (START WITH 1000000);
ALTER TABLE events ADD CONSTRAINT pk_events PRIMARY KEY (xid, id);
CREATE INDEX ix_plain_ticket_id ON events (ticket_id, id) WHERE ticket_id IS NOT NULL;
CREATE INDEX ix_plain_subject_id ON events (subject_id, id) WHERE ticket_id IS NULL;
GRANT SELECT, INSERT ON events TO ninety_service;
