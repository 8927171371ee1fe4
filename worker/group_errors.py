"""Which error of a task group a person should hear of."""

from jobs.errors import PlugwaveError


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that a person should hear of: our own first, else the first bug."""
    own, others = group.split(PlugwaveError)
    found: BaseException = own if own is not None else group
    if own is None and others is not None:
        found = others
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
