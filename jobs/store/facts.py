"""What commands are told of a store as a whole: where it is, how it stands, what is wrong."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number of `store stats`; *unit* is ``bytes``, ``s``, ``/s``, ``%`` or empty."""

    name: str
    value: float
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing `store check` found; *ok* False means a person must look."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFacts:
    """What a store is: its place without a password, engine with version, schema's version."""

    place: str
    engine: str
    schema: int
