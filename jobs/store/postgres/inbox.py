"""The inbox of one database; see `jobs.store.inbox`."""

from collections.abc import Sequence
from functools import partial
from typing import Final, final

from jobs.store.inbox import Letter
from jobs.store.postgres.calling import Read, Write
from jobs.store.postgres.transaction import Transaction
from jobs.store.postgres.wire import Wire

_NEW: Final = """
SELECT id, source, key, request FROM plugwave.inbox WHERE refused IS NULL ORDER BY id LIMIT $1
"""
_DONE: Final = "DELETE FROM plugwave.inbox WHERE id = ANY($1::bigint[])"
_REFUSE: Final = "UPDATE plugwave.inbox SET refused = $2 WHERE id = $1"
_AGAIN: Final = """
UPDATE plugwave.inbox SET refused = NULL
 WHERE id IN (SELECT id FROM plugwave.inbox WHERE refused IS NOT NULL ORDER BY id LIMIT $1)
RETURNING id
"""


@final
class PostgresInbox:
    """An `InboxStore` in the database of its store."""

    def __init__(self, write: Write, read: Read) -> None:
        self._write = write
        self._read = read

    async def letters(self, limit: int) -> Sequence[Letter]:
        """See `InboxStore.letters`."""
        return await self._read(partial(_letters, limit=limit))

    async def done(self, letters: Sequence[int]) -> None:
        """See `InboxStore.done`."""
        if letters:
            await self._write(partial(_done, letters=list(letters)))

    async def refuse(self, letter: int, reason: str) -> None:
        """See `InboxStore.refuse`."""
        await self._write(partial(_refuse, letter=letter, reason=reason))

    async def again(self, limit: int) -> int:
        """See `InboxStore.again`."""
        return await self._write(partial(_again, limit=limit))


async def _letters(wire: Wire, *, limit: int) -> Sequence[Letter]:
    return [
        Letter(id=number, source=source, key=key, request=request.encode())
        for number, source, key, request in await wire.rows(_NEW, limit)
    ]


async def _done(transaction: Transaction, *, letters: list[int]) -> None:
    await transaction.wire.rows(_DONE, letters)


async def _refuse(transaction: Transaction, *, letter: int, reason: str) -> None:
    # A text with a null byte cannot be stored there, and foreign JSON may hold one.
    await transaction.wire.rows(_REFUSE, letter, reason.replace("\x00", "�"))


async def _again(transaction: Transaction, *, limit: int) -> int:
    return len(await transaction.wire.rows(_AGAIN, limit))
