"""One connection to the server, and the only place that touches the driver's untyped calls."""

import secrets
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, final
from uuid import UUID

import asyncpg  # type: ignore[import-untyped]  # it ships no types; `Wire` is where they begin

from jobs.store.postgres.address import Address

SCHEMA: Final = "plugwave"

Row = Sequence[Any]
"""One row of an answer, by position."""

_SETTINGS: Final = {
    "application_name": "plugwave",
    "jit": "off",  # it would cost more than every statement of ours
    "lock_timeout": "20s",
    "idle_in_transaction_session_timeout": "60s",
    # A client that vanished lets go of its locks within half a minute.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


@final
class Wire:
    """A connection; `writer` and `number` name its present transaction (see `transactions`)."""

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - the driver has no types
        self._connection = connection
        self.server_pid: int = connection.get_server_pid()
        """The server's process for this connection."""
        self.writer = UUID(bytes=secrets.token_bytes(16))
        self.number = 0

    def is_usable(self) -> bool:
        """Whether it is open and stands in no transaction."""
        return not self._connection.is_closed() and not self._connection.is_in_transaction()

    def is_open(self) -> bool:
        """Whether nobody has closed it, as far as we have heard."""
        return not self._connection.is_closed()

    async def rows(self, sql: str, *values: object) -> list[Row]:
        """Run one statement and return its rows."""
        found: list[Row] = await self._connection.fetch(sql, *values)
        return found

    async def row(self, sql: str, *values: object) -> Row | None:
        """Run one statement and return its first row."""
        found: Row | None = await self._connection.fetchrow(sql, *values)
        return found

    async def value(self, sql: str, *values: object) -> Any:  # noqa: ANN401 - a cell of any type
        """Run one statement and return the first cell of its first row."""
        return await self._connection.fetchval(sql, *values)

    async def script(self, sql: str, *, answer_s: float | None = None) -> str:
        """Run statements without values, for *answer_s* at most; return the last one's tag."""
        tag: str = await self._connection.execute(sql, timeout=answer_s)
        return tag

    async def copy(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        """Append rows by binary COPY."""
        await self._connection.copy_records_to_table(
            table, schema_name=SCHEMA, columns=list(columns), records=rows
        )

    async def listen(self, channel: str, heard: Callable[[int], None]) -> None:
        """Call *heard* with the sender's server process on each notification."""

        def tell(_connection: object, sender: int, _channel: str, _payload: object) -> None:
            heard(sender)

        await self._connection.add_listener(channel, tell)

    def terminate(self) -> None:
        """Drop it; the server rolls back what was open."""
        self._connection.terminate()

    async def close(self) -> None:
        """Say goodbye, for two seconds at most."""
        close: Callable[..., Awaitable[None]] = self._connection.close
        try:
            await close(timeout=2.0)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self.terminate()


async def connect(address: Address, *, connect_s: float, answer_s: float) -> Wire:
    """Open a connection.

    Args:
        address: The database.
        connect_s: How long it may take, and how long the other side may then leave what we
            send without an acknowledgement.
        answer_s: How long one statement may take; after that the connection counts as lost.

    Raises:
        Exception: Whatever the driver or the socket says; `troubles` knows what it means.
    """
    connection = await _connection(address, connect_s, answer_s)
    _notice_cuts(connection, connect_s)
    return Wire(connection)


def _notice_cuts(connection: Any, after_s: float) -> None:  # noqa: ANN401 - the driver has no types
    """Let the kernel end the connection when the other side has been silent for *after_s*.

    On a line that was cut without a word it would go on trying, at ever longer distances, for
    a quarter of an hour, and find the mended line only at its next try.  A server that is just
    slow acknowledges what it got, so this ends no statement that takes long.
    """
    sock = connection._transport.get_extra_info("socket")  # noqa: SLF001 - no public way to it
    if sock is None or sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", max(1, round(after_s))),
        ("TCP_KEEPINTVL", 1),
        ("TCP_USER_TIMEOUT", round(after_s * 1000)),
    ):
        if hasattr(socket, name):  # Linux has all of them
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def _connection(address: Address, connect_s: float, answer_s: float) -> Any:  # noqa: ANN401 - likewise
    # A pooler lends its servers' connections out: it refuses what would change them, and a
    # statement prepared on one of them is unknown to the next.
    pooled = {"application_name": _SETTINGS["application_name"]}
    return await asyncpg.connect(
        address.dsn,
        timeout=connect_s,
        command_timeout=answer_s,
        statement_cache_size=0 if address.pooler else 200,
        max_cached_statement_lifetime=0,
        server_settings=pooled if address.pooler else _SETTINGS,
    )
