"""Customers and organizations are found by the beginnings of words of their name, e-mail address and external id."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"

_WORDS = "known_words(name, email, external_id)"
_TABLES = ("customers", "organizations")


def upgrade() -> None:
    op.execute(
        """
        CREATE FUNCTION known_words(text, text, text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
            SELECT to_tsvector('simple'::regconfig, translate(
                normalize(coalesce($1, '') || ' ' || coalesce($2, '') || ' ' || coalesce($3, ''), NFKC),
                '.,;:@_-+/\\|()[]{}<>"''!?#&*=~%$^`', repeat(' ', 40)))
        $$
        """
    )
    with op.get_context().autocommit_block():
        for table in _TABLES:
            name = f"ix_{table}_known_words"
            # A build that broke off leaves an index that is not valid.
            op.drop_index(name, postgresql_concurrently=True, if_exists=True)
            op.create_index(
                name, table, [sa.text(_WORDS)], postgresql_using="gin", postgresql_concurrently=True, if_not_exists=True
            )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for table in _TABLES:
            op.drop_index(f"ix_{table}_known_words", postgresql_concurrently=True, if_exists=True)
    op.execute("DROP FUNCTION known_words(text, text, text)")
