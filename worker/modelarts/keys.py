"""What proves who we are, as values that cannot be seen by accident.

A `Secret` shows itself in no repr, text, dict, copy or pickle; its text comes out of `reveal`
alone, which is called where the text goes onto the wire and nowhere else.
"""

from dataclasses import dataclass
from typing import Final, NoReturn, Self, SupportsIndex

from jobs.errors import ConfigError

HIDDEN: Final = "***"

SHORTEST_SHOWN: Final = 12
"""Access keys shorter than this are not shown even in part: too little would stay hidden."""


class Secret:
    """A text that only `reveal` gives away."""

    __slots__ = ("_reveal",)

    def __init__(self, text: str) -> None:
        # In a closure: what walks over attributes finds a function and no text.
        def reveal() -> str:
            return text

        self._reveal = reveal

    @classmethod
    def one_line(cls, text: str, what: str, do: str | None = None) -> Self:
        """Return *text* as a secret that a header can carry.

        Raises:
            ConfigError: If it is empty or has spaces, line breaks or characters outside of
                ASCII; the message names *what* and never shows the text.
        """
        if not (text and text.isascii() and text.isprintable() and " " not in text):
            raise ConfigError(
                f"{what} is empty or holds characters that no header can carry",
                do=do or "give it alone, on one line, without spaces",
            )
        return cls(text)

    def reveal(self) -> str:
        """Return the text; for the wire only."""
        return self._reveal()

    def __repr__(self) -> str:
        return HIDDEN

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        message = "a secret is not written down"
        raise TypeError(message)


def short_key(access: str) -> str:
    """Return an access key as people may see it: first four and last four characters."""
    return f"{access[:4]}…{access[-4:]}" if len(access) >= SHORTEST_SHOWN else "…"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AccessKey:
    """An access key with its secret, and a security token when it is temporary.

    Attributes:
        access: The key's id; shown as `short` only.
        secret: What signatures are made with.
        security_token: Goes with a temporary key.
        expires_us: When it ends, in microseconds since 1970; None when that is not known.
    """

    access: Secret
    secret: Secret
    security_token: Secret | None = None
    expires_us: int | None = None

    @classmethod
    def of(
        cls,
        access: str,
        secret: str,
        security_token: str | None = None,
        *,
        expires_us: int | None = None,
    ) -> Self:
        """Return a key made of texts.

        Raises:
            ConfigError: If no header could carry them; the message shows none.
        """
        return cls(
            access=Secret.one_line(access, "the access key"),
            secret=Secret.one_line(secret, "the secret key"),
            security_token=Secret.one_line(security_token, "the security token")
            if security_token
            else None,
            expires_us=expires_us,
        )

    @property
    def short(self) -> str:
        """First four and last four characters of the key's id."""
        return short_key(self.access.reveal())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Token:
    """An IAM token; *expires_us* is None when its end is not known."""

    secret: Secret
    expires_us: int | None = None

    @classmethod
    def of(cls, text: str, *, expires_us: int | None = None) -> Self:
        """Return a token made of a text.

        Raises:
            ConfigError: If no header could carry it; the message does not show it.
        """
        return cls(secret=Secret.one_line(text, "the token"), expires_us=expires_us)
