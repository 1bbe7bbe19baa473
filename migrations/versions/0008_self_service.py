"""Articles, what was offered of them, and automations with their settings. Columns are added without a default; indexes
of tickets are built beside their use."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"

_INSTANT = sa.DateTime(timezone=True)
_NOW = sa.text("clock_timestamp()")
_CHECK = "ck_sla_exceptions_effect_on_clocks"
_INDEXES: list[tuple[str, str, list[str], str]] = [
    ("ix_tickets_resolved_at", "tickets", ["resolved_at", "id"], "status = 'resolved' AND NOT needs_human"),
    ("ix_tickets_self_service", "tickets", ["created_at", "id"], "self_service IS NOT NULL"),
    ("ix_sla_exceptions_automation", "sla_exceptions", ["starts_at"], "kind = 'automation' AND revoked_at IS NULL"),
]
# Greeting is on, because nobody is greeted until somebody writes a greeting; the others change what happens.
_STOCK = """
INSERT INTO automations (id, key, enabled, settings) VALUES
    (gen_random_uuid(), 'auto_acknowledge', true, '{}'),
    (gen_random_uuid(), 'auto_close', false, '{"after_days": 7}'),
    (gen_random_uuid(), 'self_service_first', false,
        '{"most": 3, "min_score": 0.3, "introductions": {"en": "This may help while you wait for us:"}}')"""


def _versioned() -> list[Any]:
    return [
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", _INSTANT, server_default=_NOW, nullable=False),
        sa.Column("updated_at", _INSTANT, server_default=_NOW, nullable=False),
    ]


def _foreign(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=op.f(f"fk_{table}_{column}"))


def upgrade() -> None:
    _tables_with_rows()
    # None has no effect until this release grants one of the kind `automation`.
    op.execute("-- squawk-ignore ban-drop-not-null\nALTER TABLE sla_exceptions ALTER COLUMN effect DROP NOT NULL")
    _articles()
    op.create_table(
        "ticket_offers",
        sa.Column("ticket_id", sa.Uuid(), nullable=False),
        sa.Column("article_id", sa.Uuid(), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("offered_at", _INSTANT, nullable=False),
        sa.Column("helped_at", _INSTANT, nullable=True),
        _foreign("ticket_offers", "ticket_id", "tickets"),
        _foreign("ticket_offers", "article_id", "articles"),
        sa.PrimaryKeyConstraint("ticket_id", "article_id", name=op.f("pk_ticket_offers")),
    )
    op.create_index(op.f("ix_ticket_offers_article_id"), "ticket_offers", ["article_id"])
    op.create_table(
        "automations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("settings", postgresql.JSONB(), nullable=False),
        *_versioned(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_automations")),
        sa.UniqueConstraint("key", name=op.f("uq_automations_key")),
    )
    op.execute(_STOCK)


def _tables_with_rows() -> None:
    """Outside of a transaction, so before everything else, and so that it can be done again."""
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE tickets ADD COLUMN IF NOT EXISTS self_service text")
        op.execute("ALTER TABLE sla_exceptions ADD COLUMN IF NOT EXISTS kind text NOT NULL DEFAULT 'sla'")
        op.execute("ALTER TABLE sla_exceptions ADD COLUMN IF NOT EXISTS automations text[] NOT NULL DEFAULT '{}'")
        op.execute(
            f"-- squawk-ignore ban-drop-constraint\nALTER TABLE sla_exceptions DROP CONSTRAINT IF EXISTS {_CHECK}"
        )
        op.execute(
            f"ALTER TABLE sla_exceptions ADD CONSTRAINT {_CHECK}"
            " CHECK ((effect IS NULL) = (kind = 'automation')) NOT VALID"
        )
        op.execute(f"ALTER TABLE sla_exceptions VALIDATE CONSTRAINT {_CHECK}")
        for name, table, columns, where in _INDEXES:
            # A build that broke off leaves an index that is not valid.
            op.drop_index(name, postgresql_concurrently=True, if_exists=True)
            op.create_index(
                name, table, columns, postgresql_where=where, postgresql_concurrently=True, if_not_exists=True
            )


def _articles() -> None:
    op.create_table(
        "articles",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("key_folded", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("tags", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("segment_ids", sa.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("archived_at", _INSTANT, nullable=True),
        *_versioned(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_articles")),
    )
    op.create_index(
        "uq_articles_key_folded_language", "articles", ["key_folded", "language"], unique=True,
        postgresql_where="archived_at IS NULL",
    )  # fmt: skip
    op.create_index("ix_articles_created_at", "articles", ["created_at", "id"])
    op.create_table(
        "article_words",
        sa.Column("article_id", sa.Uuid(), nullable=False),
        sa.Column("configuration", sa.Text(), nullable=False),
        sa.Column("words", postgresql.TSVECTOR(), nullable=False),
        sa.Column("title_terms", sa.Integer(), nullable=False),
        _foreign("article_words", "article_id", "articles"),
        sa.PrimaryKeyConstraint("article_id", name=op.f("pk_article_words")),
    )
    op.create_index(
        "ix_article_words_words", "article_words", ["words"], postgresql_using="gin",
        postgresql_with={"fastupdate": "off"},
    )  # fmt: skip
    op.create_table(
        "article_terms",
        sa.Column("configuration", sa.Text(), nullable=False),
        sa.Column("lexeme", sa.Text(), nullable=False),
        sa.Column("article_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        _foreign("article_terms", "article_id", "articles"),
        sa.PrimaryKeyConstraint("configuration", "lexeme", "article_id", name=op.f("pk_article_terms")),
    )
    op.create_index(op.f("ix_article_terms_article_id"), "article_terms", ["article_id"])


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name, _, _, _ in _INDEXES:
            op.drop_index(name, postgresql_concurrently=True, if_exists=True)
    # What the older release would take for a relief of clocks.
    op.execute("DELETE FROM sla_exceptions WHERE kind = 'automation'")
    op.execute(f"ALTER TABLE sla_exceptions DROP CONSTRAINT {_CHECK}")
    op.alter_column("sla_exceptions", "effect", nullable=False)
    for table, name in (("sla_exceptions", "kind"), ("sla_exceptions", "automations"), ("tickets", "self_service")):
        op.drop_column(table, name)
    for table in ("automations", "ticket_offers", "article_terms", "article_words", "articles"):
        op.drop_table(table)
