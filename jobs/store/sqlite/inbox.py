"""The inbox of one file; see `jobs.store.inbox`."""

from collections.abc import Sequence
from functools import partial
from typing import Final, final

from jobs.store.inbox import Letter
from jobs.store.sqlite.calling import Write
from jobs.store.sqlite.engine import Reader
from jobs.store.sqlite.transaction import Snapshot, Transaction

_NEW: Final = "SELECT id, source, key, request FROM inbox WHERE refused IS NULL ORDER BY id LIMIT ?"
_DONE: Final = "DELETE FROM inbox WHERE id = ?"
_REFUSE: Final = "UPDATE inbox SET refused = ? WHERE id = ?"
_AGAIN: Final = """
UPDATE inbox SET refused = NULL
 WHERE id IN (SELECT id FROM inbox WHERE refused IS NOT NULL ORDER BY id LIMIT ?)
"""


@final
class SqliteInbox:
    """An `InboxStore` in the file of its store."""

    def __init__(self, write: Write, reader: Reader) -> None:
        self._write = write
        self._reader = reader

    async def letters(self, limit: int) -> Sequence[Letter]:
        """See `InboxStore.letters`."""
        return await self._reader.run(partial(_letters, limit=limit))

    async def done(self, letters: Sequence[int]) -> None:
        """See `InboxStore.done`."""
        if letters:
            await self._write(partial(_done, letters=letters))

    async def refuse(self, letter: int, reason: str) -> None:
        """See `InboxStore.refuse`."""
        await self._write(partial(_refuse, letter=letter, reason=reason))

    async def again(self, limit: int) -> int:
        """See `InboxStore.again`."""
        return await self._write(partial(_again, limit=limit))


def _letters(snapshot: Snapshot, *, limit: int) -> Sequence[Letter]:
    return [
        Letter(id=number, source=source, key=key, request=request.encode())
        for number, source, key, request in snapshot.rows(_NEW, (limit,))
    ]


def _done(transaction: Transaction, *, letters: Sequence[int]) -> None:
    list(transaction.each(_DONE, ((letter,) for letter in letters)))


def _refuse(transaction: Transaction, *, letter: int, reason: str) -> None:
    transaction.change(_REFUSE, (reason, letter))


def _again(transaction: Transaction, *, limit: int) -> int:
    return transaction.change(_AGAIN, (limit,))
