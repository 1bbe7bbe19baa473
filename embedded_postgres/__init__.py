"""The PostgreSQL that starts when no DATABASE_URL is given: Linux, one server a data directory, one DSN out.

Owns the server's programs, its files, its process and the end of it. Refuses to know schema, pools, settings and
asyncio; imports the standard library only.

Two locks decide, because a pid file says nothing once pids are reused. `owner.lock` is held by the Python process
alone: free the instant it dies, however it dies. The descriptor of `server.lock` is inherited by every postgres
process: the kernel frees it when the last of them is gone, so a server that outlives its owner for a moment is waited
for, never doubled.
"""

from embedded_postgres.errors import EmbeddedError
from embedded_postgres.programs import find_binaries
from embedded_postgres.server import EmbeddedPostgres

__all__ = ["EmbeddedError", "EmbeddedPostgres", "find_binaries"]
