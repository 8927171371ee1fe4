"""Causes: every word that can end up in a record means something to a person."""

import pytest

from jobs import causes
from jobs.causes import CAUSES, Cause, cause_class
from jobs.outcomes import ROWS, Outcome

WORDS = {
    value
    for name, value in vars(causes).items()
    if name.isupper() and isinstance(value, str) and not name.startswith("_")
}


def test_every_outcome_but_success_is_a_cause() -> None:
    """Whatever a request ran into has a word."""
    assert {outcome.value for outcome in Outcome} - {"ok"} <= CAUSES.keys()
    assert "ok" not in CAUSES


def test_every_other_word_is_a_cause_too() -> None:
    """The words about what reads showed are in the list, and no others."""
    assert len(WORDS) >= 12
    assert {outcome.value for outcome in Outcome} - {"ok"} | WORDS == CAUSES.keys()


@pytest.mark.parametrize("cause", CAUSES.values(), ids=lambda cause: cause.word)
def test_a_cause_says_what_why_and_what_to_do(cause: Cause) -> None:
    """Class, title, likely reason and next step, in one line each."""
    texts = (cause.word, cause.cause_class, cause.title, cause.likely, cause.do)

    assert all(texts)
    assert all("\n" not in text and text == text.strip() for text in texts)
    assert cause.retry in {"yes", "after-fix", "no"}


def test_a_word_is_listed_under_itself() -> None:
    """The list can be asked by the word of the record."""
    assert all(cause.word == word for word, cause in CAUSES.items())


def test_the_class_of_an_outcome_is_the_one_of_its_row() -> None:
    """Table and causes agree on the class."""
    for row in ROWS:
        if row.outcome is not Outcome.OK:
            assert cause_class(row.outcome.value) == row.cause_class


def test_no_cause_has_no_class() -> None:
    """A job without trouble belongs to no group."""
    assert cause_class(None) is None
