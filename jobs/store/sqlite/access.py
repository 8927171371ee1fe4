"""Tokens, and the receipts of keyed calls."""

from collections.abc import Sequence
from functools import partial
from typing import Final, TypeVar, final

import orjson

from jobs.errors import ConflictError, NothingMatchedError
from jobs.model import JobId, JobRequest
from jobs.store.access import KeyedCall, Receipt, Token
from jobs.store.schema import pack_digest, unpack_digest
from jobs.store.sqlite import intake
from jobs.store.sqlite.calling import Write
from jobs.store.sqlite.engine import Reader
from jobs.store.sqlite.transaction import Cells, Snapshot, Transaction

T = TypeVar("T")

_ADD: Final = """
INSERT INTO tokens(name, digest, terms, by, created_us, expires_us) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING RETURNING 1
"""
_COLUMNS: Final = "name, digest, terms, by, created_us, expires_us, revoked_us"
_ALL: Final = f"SELECT {_COLUMNS} FROM tokens ORDER BY name"  # noqa: S608 - made of constants only
_REVOKE: Final = f"""
UPDATE tokens SET revoked_us = coalesce(revoked_us, ?) WHERE name = ? RETURNING {_COLUMNS}
"""  # noqa: S608 - made of constants only
_FIRST: Final = "SELECT fingerprint, answers FROM receipts WHERE source = ? AND key = ?"
_KEEP: Final = """
INSERT INTO receipts(source, key, fingerprint, answers, at_us) VALUES (?, ?, ?, ?, ?)
"""


def add_token(transaction: Transaction, token: Token) -> None:
    """See `AccessStore.add_token`."""
    terms = orjson.dumps(dict(token.terms)).decode()
    cells = (token.name, token.digest, terms, token.by, token.created_us, token.expires_us)
    if transaction.row(_ADD, cells) is None:
        raise ConflictError(f"there is or was a token '{token.name}'", do="choose another name")


def tokens(snapshot: Snapshot) -> Sequence[Token]:
    """See `AccessStore.tokens`."""
    return [_token(row) for row in snapshot.rows(_ALL)]


def revoke_token(transaction: Transaction, name: str) -> Token:
    """See `AccessStore.revoke_token`."""
    row = transaction.row(_REVOKE, (transaction.now_us, name))
    if row is None:
        raise NothingMatchedError(f"there is no token '{name}'", do="plugwave tokens list")
    return _token(row)


def _token(row: Cells) -> Token:
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


def enqueue_once(
    transaction: Transaction, call: KeyedCall, requests: Sequence[JobRequest]
) -> Receipt:
    """See `AccessStore.enqueue_once`."""
    first = transaction.row(_FIRST, (call.source, call.key))
    if first is not None:
        told = [(verdict, JobId(job)) for verdict, job in orjson.loads(first[1])]
        return Receipt(fingerprint=unpack_digest(first[0]), answers=told, fresh=False)
    enqueued = intake.enqueue(transaction, requests, None) if requests else ()
    answers = [(one.verdict.value, one.job) for one in enqueued]
    text = orjson.dumps(answers).decode()
    digest = pack_digest(call.fingerprint)
    transaction.change(_KEEP, (call.source, call.key, digest, text, transaction.now_us))
    return Receipt(fingerprint=call.fingerprint, answers=answers, fresh=True)


@final
class SqliteAccess:
    """A `jobs.store.access.AccessStore` in the file of its store."""

    def __init__(self, write: Write, reader: Reader) -> None:
        self._write = write
        self._reader = reader

    async def add_token(self, token: Token) -> None:
        """See `AccessStore.add_token`."""
        await self._write(partial(add_token, token=token))

    async def tokens(self) -> Sequence[Token]:
        """See `AccessStore.tokens`."""
        return await self._reader.run(tokens)

    async def revoke_token(self, name: str) -> Token:
        """See `AccessStore.revoke_token`."""
        return await self._write(partial(revoke_token, name=name))

    async def enqueue_once(self, call: KeyedCall, requests: Sequence[JobRequest]) -> Receipt:
        """See `AccessStore.enqueue_once`."""
        return await self._write(partial(enqueue_once, call=call, requests=requests))
