"""Instants as IAM writes them."""

from datetime import UTC, datetime

from jobs.clock import MICROSECONDS


def in_microseconds(instant_us: int) -> str:
    """Return the instant in UTC with six decimals: ``2019-02-13T06:52:13.855000Z``."""
    seconds, micros = divmod(instant_us, MICROSECONDS)
    moment = datetime.fromtimestamp(seconds, tz=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{micros:06d}Z"
