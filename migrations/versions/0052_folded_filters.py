"""Tags and external ids are found whatever their case, width and Unicode form. The indexes are built beside the
writers; the release before, which asks for tags as they are written, has no index for that any more."""

from alembic import op

revision = "0052"
down_revision = "0050"

_TAGS = "ON tickets USING gin ({}) WHERE tags <> '{{}}'"
_WITH_ID = "ON {} (fold_text(external_id)) WHERE external_id IS NOT NULL"
_INDEXES = {
    "ix_tickets_tags_folded": _TAGS.format("fold_texts(tags)"),
    **{f"ix_{name}_external_id_folded": _WITH_ID.format(name) for name in ("tickets", "customers", "organizations")},
}


def upgrade() -> None:
    op.execute(
        """
        CREATE FUNCTION fold_text(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
            RETURN lower(normalize($1, NFKC))
        """
    )
    # As one text, cut again at what stands in no tag: the function is called once and not for each.
    op.execute(
        """
        CREATE FUNCTION fold_texts(text[]) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
            RETURN string_to_array(fold_text(array_to_string($1, E'\\x1d')), E'\\x1d')
        """
    )
    with op.get_context().autocommit_block():
        for name, on in _INDEXES.items():
            # A build that broke off leaves an index that is not valid.
            op.drop_index(name, postgresql_concurrently=True, if_exists=True)
            op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} {on}")
        op.drop_index("ix_tickets_tags", postgresql_concurrently=True, if_exists=True)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_tickets_tags {_TAGS.format('tags')}")
        for name in _INDEXES:
            op.drop_index(name, postgresql_concurrently=True, if_exists=True)
    op.execute("DROP FUNCTION fold_texts(text[])")
    op.execute("DROP FUNCTION fold_text(text)")
