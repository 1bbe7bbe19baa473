"""What many requests need and few change, held by each process as of a revision that every change counts up."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from app.db import Query, Transaction

T = TypeVar("T")


class RevisionCache(Generic[T]):
    """`revision` selects one row with the current `revision`; `read` makes the value from the database."""

    def __init__(self, revision: Query, read: Callable[[Transaction], Awaitable[T]]) -> None:
        self._revision = revision
        self._read = read

    def known(self, tx: Transaction) -> T | None:
        """The value that this process holds, of whatever revision; None before it has read any."""
        held: tuple[int, T] | None = tx.memo.get(self)
        return held[1] if held else None

    async def at(self, tx: Transaction, revision: int) -> T:
        """The value of this revision or a later one. A caller has the revision from a statement of its own."""
        held: tuple[int, T] | None = tx.memo.get(self)
        if held is None or held[0] != revision:
            # The revision is read first: a change in between must not pass for one that is known.
            current = await self.revision_now(tx)
            held = tx.memo[self] = current, await self._read(tx)
        return held[1]

    async def now(self, tx: Transaction) -> T:
        return await self.at(tx, await self.revision_now(tx))

    async def revision_now(self, tx: Transaction) -> int:
        row = await tx.row(self._revision)
        assert row is not None
        revision: int = row["revision"]
        return revision
