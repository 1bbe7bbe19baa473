"""Customers and organizations are found whatever their accents. The function that the release before asks stays for it,
without an index. The new indexes are built beside the writers."""

import sqlalchemy as sa
from alembic import op

revision = "0053"
down_revision = "0051"

_TABLES = ("customers", "organizations")
_BETWEEN = """.,;:@_-+/\\|()[]{}<>"''!?#&*=~%$^`"""
# Of Latin, Greek and Cyrillic, Hebrew and Arabic letters.
_ACCENTS = r"[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u064b-\u065f\u0670]"


def upgrade() -> None:
    # As bodies that are read here and now: indexes are built where no schema is searched.
    op.execute(
        rf"""
        CREATE FUNCTION fold_accents(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
            RETURN normalize(replace(replace(replace(replace(translate(
                lower(regexp_replace(normalize($1, NFKD), E'{_ACCENTS}', '', 'g')),
                'øłđðħŧıĸς', 'olddhtikσ'), 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th'), NFKC)
        """
    )
    op.execute(
        f"""
        CREATE FUNCTION folded_words(text, text, text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE
            RETURN to_tsvector('simple'::regconfig, translate(
                fold_accents(coalesce($1, '') || ' ' || coalesce($2, '') || ' ' || coalesce($3, '')),
                '{_BETWEEN}', repeat(' ', 40)))
        """
    )
    _indexed("folded_words", instead_of="known_words")


def downgrade() -> None:
    _indexed("known_words", instead_of="folded_words")
    op.execute("DROP FUNCTION folded_words(text, text, text)")
    op.execute("DROP FUNCTION fold_accents(text)")


def _indexed(function: str, *, instead_of: str) -> None:
    with op.get_context().autocommit_block():
        for table in _TABLES:
            name = f"ix_{table}_{function}"
            # A build that broke off leaves an index that is not valid.
            op.drop_index(name, postgresql_concurrently=True, if_exists=True)
            words = sa.text(f"{function}(name, email, external_id)")
            op.create_index(
                name, table, [words], postgresql_using="gin", postgresql_concurrently=True, if_not_exists=True
            )
            op.drop_index(f"ix_{table}_{instead_of}", postgresql_concurrently=True, if_exists=True)
