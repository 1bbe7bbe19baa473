"""How much larger indexes are than what is in them: pages that emptied are not given back until the index is made
anew, and every search looks through them."""

from dataclasses import dataclass

from sqlalchemy import text

from app.db import Query, Transaction

LEAST_BYTES = 8 * 1024 * 1024
"""A smaller one costs nobody anything."""
_BLOATED = 4.0


@dataclass(frozen=True, slots=True)
class Bloat:
    index: str
    bytes: int
    times: float
    """As many times as large as one that is made anew."""


# An entry of a B-tree has 8 bytes of its own and 4 in the page, and pages are filled to nine tenths.
_SIZES = Query(
    text("""
SELECT i.relname AS index, pg_relation_size(i.oid) AS bytes,
    pg_relation_size(i.oid) / (8192 + i.reltuples * (12 + w.width) / 0.9) AS times
FROM pg_index x
JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid JOIN pg_am m ON m.oid = i.relam
CROSS JOIN LATERAL (
    SELECT sum(8 * ceil(coalesce(s.avg_width, 8) / 8.0)) AS width FROM unnest(x.indkey) AS k
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k
    LEFT JOIN pg_stats s ON s.schemaname = current_schema() AND s.tablename = t.relname AND s.attname = a.attname
) AS w
WHERE t.relnamespace = current_schema()::regnamespace AND m.amname = 'btree' AND i.relkind = 'i'
    AND x.indexprs IS NULL AND i.reltuples >= 0 AND pg_relation_size(i.oid) >= :least
ORDER BY bytes DESC""")
)


async def bloated(tx: Transaction) -> list[Bloat]:
    """By what PostgreSQL has last counted, the largest first."""
    rows = await tx.rows(_SIZES, least=LEAST_BYTES)
    return [Bloat(**row) for row in rows if row["times"] > _BLOATED]
