"""Exit 0 where a PostgreSQL answers at the given URL: `python -m tests.reachable postgresql://…`."""

import asyncio
import sys

import asyncpg


async def main() -> int:
    try:
        connection = await asyncpg.connect(sys.argv[1], timeout=3)
    except (OSError, asyncpg.PostgresError) as away:
        print(f"no answer: {away!r}")
        return 1
    print(await connection.fetchval("SELECT version()"))
    await connection.close()
    return 0


sys.exit(asyncio.run(main()))
