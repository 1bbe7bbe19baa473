"""Organizations, custom fields, links, followers, views, attachments, search, greetings, customers merged and erased;
and the role that the service runs as, for which the log is append-only.

Columns are added with constants for defaults, which writes no row; indexes of tables with rows, and what is worked out
from them, come with the next revision."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.events.tables import Xid8

revision = "0004"
down_revision = "0003"

_INSTANT = sa.DateTime(timezone=True)
_NOW = sa.text("clock_timestamp()")


def _versioned() -> list[Any]:
    return [
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", _INSTANT, server_default=_NOW, nullable=False),
        sa.Column("updated_at", _INSTANT, server_default=_NOW, nullable=False),
    ]


def _foreign(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=op.f(f"fk_{table}_{column}"))


def upgrade() -> None:
    _organizations()
    _custom_fields()
    _tickets()
    _search()
    _beside_tickets()
    _attachments()
    op.create_table(
        "customer_merges",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("target_id", sa.Uuid(), nullable=False),
        sa.Column("ticket_ids", sa.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("key_ids", sa.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("merged_at", _INSTANT, nullable=False),
        sa.Column("undone_at", _INSTANT, nullable=True),
        _foreign("customer_merges", "source_id", "customers"),
        _foreign("customer_merges", "target_id", "customers"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer_merges")),
    )
    op.create_index(
        "uq_customer_merges_source_id", "customer_merges", ["source_id"], unique=True,
        postgresql_where="undone_at IS NULL",
    )  # fmt: skip
    op.create_index("ix_customer_merges_target_id", "customer_merges", ["target_id"])
    op.create_table(
        "event_readers",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("xid", Xid8(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("within", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_event_readers")),
    )
    op.add_column(
        "idempotency_records",
        sa.Column("subject_ids", sa.ARRAY(sa.Uuid()), server_default=sa.text("'{}'"), nullable=False),
    )
    op.execute(_URGENCY)
    for statement in (*_REDACTED, *_LIVE, _ERASE, _ROLE):
        op.execute(statement)


def _organizations() -> None:
    op.create_table(
        "organizations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("region", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("attributes", postgresql.JSONB(), server_default="{}", nullable=False),
        *_versioned(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organizations")),
        sa.UniqueConstraint("external_id", name=op.f("uq_organizations_external_id")),
    )
    op.create_index("ix_organizations_created_at", "organizations", ["created_at", "id"])
    for name, other in (("organization_id", "organizations"), ("merged_into", "customers")):
        op.add_column("customers", sa.Column(name, sa.Uuid(), nullable=True))
        op.create_foreign_key(
            op.f(f"fk_customers_{name}"), "customers", other, [name], ["id"], postgresql_not_valid=True
        )
    op.add_column("customers", sa.Column("erased_at", _INSTANT, nullable=True))


def _custom_fields() -> None:
    op.create_table(
        "custom_fields",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("key_folded", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("choices", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("ticket_types", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("required", sa.Boolean(), nullable=False),
        sa.Column("archived_at", _INSTANT, nullable=True),
        *_versioned(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_custom_fields")),
    )
    op.create_index(
        "uq_custom_fields_subject_key_folded", "custom_fields", ["subject", "key_folded"], unique=True,
        postgresql_where="archived_at IS NULL",
    )  # fmt: skip
    op.create_table(
        "custom_field_revision",
        sa.Column("id", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.CheckConstraint("id", name=op.f("ck_custom_field_revision_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_custom_field_revision")),
    )
    op.execute("INSERT INTO custom_field_revision (revision) VALUES (0)")


_TICKET_COLUMNS: list[tuple[str, Any, Any]] = [
    ("organization_id", sa.Uuid(), None),
    ("opened_by", sa.Text(), "customer"),
    ("due_at", _INSTANT, None),
    ("needs_human", sa.Boolean(), sa.false()),
    ("greeted_at", _INSTANT, None),
    ("asks_confirmation", sa.Boolean(), sa.false()),
    ("confirmed_at", _INSTANT, None),
]


def _tickets() -> None:
    for name, type_, default in _TICKET_COLUMNS:
        op.add_column("tickets", sa.Column(name, type_, server_default=default, nullable=default is None))
    op.create_foreign_key(
        op.f("fk_tickets_organization_id"), "tickets", "organizations", ["organization_id"], ["id"],
        postgresql_not_valid=True,
    )  # fmt: skip


def _search() -> None:
    op.create_table(
        "ticket_search",
        sa.Column("ticket_id", sa.Uuid(), nullable=False),
        sa.Column("all_words", postgresql.TSVECTOR(), nullable=False),
        sa.Column("public_words", postgresql.TSVECTOR(), nullable=False),
        _foreign("ticket_search", "ticket_id", "tickets"),
        sa.PrimaryKeyConstraint("ticket_id", name=op.f("pk_ticket_search")),
    )
    op.create_index(
        "ix_ticket_search_all_words", "ticket_search", ["all_words"], postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    )  # fmt: skip
    op.create_table(
        "search_languages",
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_search_languages")),
    )


def _beside_tickets() -> None:
    op.create_table(
        "ticket_links",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("target_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("made_by_kind", sa.Text(), nullable=False),
        sa.Column("made_by_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.CheckConstraint("source_id <> target_id", name=op.f("ck_ticket_links_links_two_tickets")),
        _foreign("ticket_links", "source_id", "tickets"),
        _foreign("ticket_links", "target_id", "tickets"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ticket_links")),
        sa.UniqueConstraint("source_id", "target_id", "kind", name=op.f("uq_ticket_links_source_id_target_id_kind")),
    )
    op.create_index("ix_ticket_links_target_id", "ticket_links", ["target_id"])
    op.create_index(
        "uq_ticket_links_one_parent", "ticket_links", ["target_id"], unique=True, postgresql_where="kind = 'parent_of'"
    )
    op.create_table(
        "ticket_followers",
        sa.Column("ticket_id", sa.Uuid(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", _INSTANT, server_default=_NOW, nullable=False),
        _foreign("ticket_followers", "ticket_id", "tickets"),
        _foreign("ticket_followers", "agent_id", "agents"),
        sa.PrimaryKeyConstraint("ticket_id", "agent_id", name=op.f("pk_ticket_followers")),
    )
    op.create_index(op.f("ix_ticket_followers_agent_id"), "ticket_followers", ["agent_id"])
    op.create_table(
        "views",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=True),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("filter", postgresql.JSONB(), nullable=False),
        sa.Column("sort", sa.Text(), nullable=False),
        *_versioned(),
        _foreign("views", "agent_id", "agents"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_views")),
    )
    op.create_index(op.f("ix_views_agent_id"), "views", ["agent_id"])
    op.create_table(
        "greetings",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.true(), nullable=False),
        *_versioned(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_greetings")),
        sa.UniqueConstraint(
            "channel", "language", name=op.f("uq_greetings_channel_language"), postgresql_nulls_not_distinct=True
        ),
    )


def _attachments() -> None:
    op.create_table(
        "attachments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("ticket_id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=True),
        sa.Column("visibility", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("author_kind", sa.Text(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("deleted_at", _INSTANT, nullable=True),
        _foreign("attachments", "ticket_id", "tickets"),
        _foreign("attachments", "message_id", "messages"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attachments")),
    )
    op.create_index("ix_attachments_ticket_id", "attachments", ["ticket_id", "created_at", "id"])
    op.create_index(
        "ix_attachments_message_id", "attachments", ["message_id"], postgresql_where="message_id IS NOT NULL"
    )
    op.create_table(
        "attachment_contents",
        sa.Column("attachment_id", sa.Uuid(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        _foreign("attachment_contents", "attachment_id", "attachments"),
        sa.PrimaryKeyConstraint("attachment_id", name=op.f("pk_attachment_contents")),
    )
    # Files are compressed already where it pays.
    op.execute("ALTER TABLE attachment_contents ALTER COLUMN content SET STORAGE EXTERNAL")


# From 0, most urgent; what is resolved or closed stands behind everything that is not.
_URGENCY = """
CREATE FUNCTION ticket_urgency(status text, priority text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN status IN ('resolved', 'closed') THEN 4 ELSE 0 END
        + CASE priority WHEN 'urgent' THEN 0 WHEN 'high' THEN 1 WHEN 'normal' THEN 2 ELSE 3 END
$$"""

# An event's data without what is personal. Of a customer and their keys nothing stays but ids and counts; of a ticket,
# what its clocks are recomputed from.
_REDACTED = (
    """
CREATE FUNCTION without_texts(data jsonb, names text[]) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN jsonb_typeof(data) <> 'object' THEN data ELSE data || coalesce(
        (SELECT jsonb_object_agg(name, NULL::text) FROM unnest(names) AS name WHERE data ? name), '{}') END
$$""",
    """
CREATE FUNCTION without_personal_data(data jsonb, of_customer boolean) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT without_texts(data, '{subject, name, text, body}')
        || CASE WHEN NOT data ? 'changes' THEN '{}' ELSE jsonb_build_object('changes', (
            SELECT coalesce(jsonb_object_agg(key, CASE
                WHEN (of_customer AND key NOT IN ('merged_into', 'customer_id'))
                    OR key IN ('subject', 'external_id', 'custom_fields', 'name')
                THEN '{"before": null, "after": null}' ELSE value END), '{}')
            FROM jsonb_each(data -> 'changes'))) END
        || coalesce((
            SELECT jsonb_object_agg(name, CASE WHEN of_customer THEN '{}'
                ELSE without_texts(data -> name, '{subject, external_id, custom_fields, name, text, body, reason}') END)
            FROM unnest('{before, after}'::text[]) AS name WHERE data ? name), '{}')
$$""",
)

# Nothing new comes to a customer who was merged, or was erased since they were read: whoever is about to write it is
# run again and finds whom it is about now. The lock waits for a merge that is under way and shows what came of it. An
# erasure is seen a moment after the instant that it bears.
_LIVE = (
    """
CREATE FUNCTION of_live_customer() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    target uuid;
    erased timestamptz;
BEGIN
    SELECT merged_into, erased_at INTO target, erased FROM customers WHERE id = NEW.customer_id FOR KEY SHARE;
    IF target IS NOT NULL OR (
        erased > NEW.created_at - interval '1 second' AND erased > clock_timestamp() - interval '1 minute'
    ) THEN
        RAISE EXCEPTION 'the customer is another one by now' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NULL;
END $$""",
    "CREATE TRIGGER of_live_customer AFTER INSERT ON tickets FOR EACH ROW EXECUTE FUNCTION of_live_customer()",
    "CREATE TRIGGER of_live_customer AFTER INSERT ON api_keys FOR EACH ROW WHEN (NEW.customer_id IS NOT NULL)"
    " EXECUTE FUNCTION of_live_customer()",
)

# The one way in which the log is written again, and only in this way: the service may call it and nothing else.
_ERASE = """
CREATE FUNCTION erase_from_events(subject_ids uuid[], ticket_ids uuid[]) RETURNS void
LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE events SET data = without_personal_data(data, true)
    WHERE events.ticket_id IS NULL AND events.subject_id = ANY(erase_from_events.subject_ids)
        AND data ?| '{changes, before, after, subject, name, text, body}'
        AND data <> without_personal_data(data, true);
    UPDATE events SET data = without_personal_data(data, false)
    WHERE events.ticket_id = ANY(erase_from_events.ticket_ids)
        AND data ?| '{changes, before, after, subject, name, text, body}'
        AND data <> without_personal_data(data, false);
$$"""

_ROLE = """
DO $$
DECLARE member boolean;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ninety_service') THEN
        BEGIN
            CREATE ROLE ninety_service NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- another database of this server is being migrated, too
        END;
    END IF;
    IF current_setting('server_version_num')::int >= 160000 THEN
        member := pg_has_role(current_user, 'ninety_service', 'SET');
    ELSE
        member := pg_has_role(current_user, 'ninety_service', 'MEMBER');
    END IF;
    IF NOT member THEN
        EXECUTE format('GRANT ninety_service TO %I', current_user);
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO ninety_service', current_schema());
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO ninety_service',
        current_schema());
    EXECUTE format('GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA %I TO ninety_service', current_schema());
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I'
        ' GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO ninety_service', current_schema());
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT USAGE, SELECT ON SEQUENCES TO ninety_service',
        current_schema());
    -- What happened stays as it was written.
    REVOKE UPDATE, DELETE ON events FROM ninety_service;
    REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM ninety_service;
    EXECUTE format('ALTER FUNCTION erase_from_events SET search_path = %I, pg_temp', current_schema());
    REVOKE EXECUTE ON FUNCTION erase_from_events FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION erase_from_events TO ninety_service;
END $$"""

# The role stays: other databases of the server may be using it.
_NO_ROLE = """
DO $$
BEGIN
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I REVOKE ALL ON TABLES FROM ninety_service', current_schema());
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I REVOKE ALL ON SEQUENCES FROM ninety_service',
        current_schema());
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM ninety_service', current_schema());
    EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA %I FROM ninety_service', current_schema());
    EXECUTE format('REVOKE USAGE ON SCHEMA %I FROM ninety_service', current_schema());
END $$"""


def downgrade() -> None:
    """What the older release does not know goes with its tables."""
    op.execute(_NO_ROLE)
    op.execute("DROP FUNCTION erase_from_events")
    for table in ("tickets", "api_keys"):
        op.execute(f"DROP TRIGGER of_live_customer ON {table}")
    for function in ("of_live_customer", "without_personal_data", "without_texts"):
        op.execute(f"DROP FUNCTION {function}")
    op.execute("DROP FUNCTION ticket_urgency")
    op.drop_column("idempotency_records", "subject_ids")
    for table in (
        "event_readers", "customer_merges", "attachment_contents", "attachments", "greetings", "views",
        "ticket_followers", "ticket_links", "search_languages", "ticket_search", "custom_field_revision",
        "custom_fields",
    ):  # fmt: skip
        op.drop_table(table)
    for name, _, _ in _TICKET_COLUMNS:
        op.drop_column("tickets", name)
    for name in ("erased_at", "merged_into", "organization_id"):
        op.drop_column("customers", name)
    op.drop_table("organizations")
