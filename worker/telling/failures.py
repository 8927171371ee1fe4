"""What ended badly, by cause, as JSON shows it."""

from collections.abc import Sequence
from typing import Any, Final

from config.masking import clean_text, mask_text
from jobs.report.failures import Group
from jobs.states import BAD_STATES, JobState

TEXT_LIMIT: Final = 1_000


def cause_fields(number: int, group: Group) -> dict[str, Any]:
    """Return one group; ``id`` is its place among all, C1 the largest."""
    fields = {"id": f"C{number}", **group.as_dict()}
    return {key: plain(value) if isinstance(value, str) else value for key, value in fields.items()}


def counted_states(groups: Sequence[Group]) -> dict[JobState, int]:
    """Return how many jobs of the groups ended in which bad state."""
    return {
        state: sum(group.states.get(state, 0) for group in groups) for state in sorted(BAD_STATES)
    }


def plain(text: str) -> str:
    """Return a foreign text as one harmless line without secrets."""
    return clean_text(mask_text(text), TEXT_LIMIT)
