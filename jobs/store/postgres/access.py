"""Tokens, and the receipts of keyed calls.

A receipt is inserted before its jobs: of two transactions with one key the second waits in the
index for the first, and then finds it.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final, TypeVar, final

import orjson

from jobs.errors import BadRequestError, ConflictError, NothingMatchedError
from jobs.model import JobId, JobRequest
from jobs.store.access import KeyedCall, Receipt, Token
from jobs.store.postgres import intake
from jobs.store.postgres.calling import Read, Write
from jobs.store.postgres.transaction import Transaction
from jobs.store.postgres.troubles import AgainError, RefusedValuesError
from jobs.store.postgres.wire import Row, Wire

T = TypeVar("T")

_ADD: Final = """
INSERT INTO plugwave.tokens(name, digest, terms, by, created_us, expires_us)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING 1
"""
_COLUMNS: Final = "name, digest, terms, by, created_us, expires_us, revoked_us"
_ALL: Final = f'SELECT {_COLUMNS} FROM plugwave.tokens ORDER BY name COLLATE "C"'  # noqa: S608 - made of constants only
_REVOKE: Final = f"""
UPDATE plugwave.tokens SET revoked_us = coalesce(revoked_us, $1) WHERE name = $2
RETURNING {_COLUMNS}
"""  # noqa: S608 - made of constants only
_KEEP: Final = """
INSERT INTO plugwave.receipts(source, key, fingerprint, answers, at_us)
VALUES ($1, $2, $3, '[]', $4) ON CONFLICT DO NOTHING RETURNING 1
"""
_FILL: Final = "UPDATE plugwave.receipts SET answers = $3 WHERE source = $1 AND key = $2"
_FIRST: Final = """
SELECT fingerprint, answers FROM plugwave.receipts WHERE source = $1 AND key = $2
"""


async def add_token(transaction: Transaction, token: Token) -> None:
    """See `AccessStore.add_token`."""
    terms = orjson.dumps(dict(token.terms)).decode()
    cells = (token.name, token.digest, terms, token.by, token.created_us, token.expires_us)
    if await transaction.wire.row(_ADD, *cells) is None:
        raise ConflictError(f"there is or was a token '{token.name}'", do="choose another name")


async def tokens(wire: Wire) -> Sequence[Token]:
    """See `AccessStore.tokens`."""
    return [_token(row) for row in await wire.rows(_ALL)]


async def revoke_token(transaction: Transaction, name: str) -> Token:
    """See `AccessStore.revoke_token`."""
    row = await transaction.wire.row(_REVOKE, transaction.now_us, name)
    if row is None:
        raise NothingMatchedError(f"there is no token '{name}'", do="plugwave tokens list")
    return _token(row)


def _token(row: Row) -> Token:
    name, digest, terms, by, created_us, expires_us, revoked_us = row
    return Token(
        name=name,
        digest=bytes(digest),
        terms=orjson.loads(terms),
        by=by,
        created_us=created_us,
        expires_us=expires_us,
        revoked_us=revoked_us,
    )


async def enqueue_once(
    transaction: Transaction, call: KeyedCall, requests: Sequence[JobRequest]
) -> Receipt:
    """See `AccessStore.enqueue_once`."""
    wire, digest = transaction.wire, bytes.fromhex(call.fingerprint)
    if await wire.row(_KEEP, call.source, call.key, digest, transaction.now_us) is None:
        first = await wire.row(_FIRST, call.source, call.key)
        if first is None:
            raise AgainError  # it was there, and has expired meanwhile
        told = [(verdict, JobId(job)) for verdict, job in orjson.loads(first[1])]
        return Receipt(fingerprint=bytes(first[0]).hex(), answers=told, fresh=False)
    [enqueued] = await intake.enqueue(transaction, [intake.prepare(requests, None)])
    answers = [(one.verdict.value, one.job) for one in enqueued]
    await wire.rows(_FILL, call.source, call.key, orjson.dumps(answers).decode())
    return Receipt(fingerprint=call.fingerprint, answers=answers, fresh=True)


@final
class PostgresAccess:
    """A `jobs.store.access.AccessStore` in the database of its store."""

    def __init__(self, write: Write, read: Read) -> None:
        self._write = write
        self._read = read

    async def add_token(self, token: Token) -> None:
        """See `AccessStore.add_token`."""
        await self._write(partial(add_token, token=token))

    async def tokens(self) -> Sequence[Token]:
        """See `AccessStore.tokens`."""
        return await self._read(tokens)

    async def revoke_token(self, name: str) -> Token:
        """See `AccessStore.revoke_token`."""
        return await self._write(partial(revoke_token, name=name))

    async def enqueue_once(self, call: KeyedCall, requests: Sequence[JobRequest]) -> Receipt:
        """See `AccessStore.enqueue_once`."""
        try:
            return await self._write(partial(enqueue_once, call=call, requests=requests))
        except RefusedValuesError:
            raise BadRequestError(intake.NOT_STORABLE) from None
