"""An answer of the cloud in the words of a person: what it said, and what proves it."""

from config.masking import clean_text, mask_text
from jobs.outcomes import Answer


def words(text: str | None) -> str:
    """Return a text of the cloud as it may be shown; empty for none."""
    return "" if text is None else clean_text(mask_text(text))


def proof_of(answer: Answer) -> str | None:
    """Return status, code and request id of an answer; None when there are none."""
    facts = {
        "status": answer.http_status,
        "code": answer.error_code,
        "request": answer.request_id,
    }
    told = [f"{name} {value}" for name, value in facts.items() if value is not None]
    return ", ".join(told) or None
