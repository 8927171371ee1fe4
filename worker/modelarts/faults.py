"""The three ways in which this package itself says no.

None of them leaves it, except `GateClosed`, which a caller's gate raises, and
`NotSendableError` from `models.plugin_body`.  Messages are written here, never taken from a
foreign exception, so that no header and no input can be in them.
"""


class GateClosed(Exception):  # noqa: N818 - a gate that closes is a decision, not an error
    """Raised by a gate: the request must not leave now; nothing of it was written."""


class NotSendableError(ValueError):
    """The request may not be sent as it is; nothing of it was written."""


class UnreadableError(ValueError):
    """An answer does not say what it should; the message names the place, never the value."""
