"""Which calls a site has is learned from its answers and from nothing else."""

import pytest
from yarl import URL

from jobs.outcomes import Answer, Outcome
from worker.modelarts.sites import Extra, Has, Site, Sites, learned, told_by


def an_answer(outcome: Outcome, code: str | None = None, *, sent: bool = True) -> Answer:
    """Return an answer with as much as decides."""
    return Answer(outcome=outcome, sent=sent, error_code=code)


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        ("a value", Has.YES),
        (an_answer(Outcome.OK), Has.YES),
        (an_answer(Outcome.NO_SUCH_API, "APIG.0101"), Has.NO),
        (an_answer(Outcome.NOT_FOUND, "ModelArts.50005101"), Has.YES),
        (an_answer(Outcome.REFUSED_CONTENT, "ModelArts.50004000"), Has.YES),
        (an_answer(Outcome.CONFLICT, "ModelArts.5044"), Has.YES),
        (an_answer(Outcome.SERVER_ERROR, "ModelArts.50005000"), Has.YES),
        (an_answer(Outcome.SERVER_ERROR, "APIG.0201"), Has.UNKNOWN),
        (an_answer(Outcome.THROTTLED, "APIG.0308"), Has.UNKNOWN),
        (an_answer(Outcome.UNAUTHENTICATED, "APIG.0301"), Has.UNKNOWN),
        (an_answer(Outcome.UNAUTHENTICATED, "ModelArts.50001000"), Has.UNKNOWN),
        (an_answer(Outcome.FORBIDDEN, "ModelArts.0210"), Has.UNKNOWN),
        (an_answer(Outcome.UNKNOWN_REFUSAL), Has.UNKNOWN),
        (an_answer(Outcome.UNREADABLE_SUCCESS), Has.UNKNOWN),
        (an_answer(Outcome.CONNECT_REFUSED, sent=False), Has.UNKNOWN),
    ],
)
def test_what_an_answer_tells(seen: object, told: Has) -> None:
    """A success or ModelArts' own words prove a call; only "no such API" proves that none is."""
    assert told_by(seen) is told


def test_one_call_is_learned_at_a_time_and_the_latest_word_counts() -> None:
    """A site that has show may lack patch; what tells nothing changes nothing."""
    site = learned(Site(), Extra.SHOW, "a value")
    site = learned(site, Extra.PATCH, an_answer(Outcome.NO_SUCH_API))

    assert site == Site(has_show=Has.YES, has_patch=Has.NO)
    assert learned(site, Extra.PATCH, an_answer(Outcome.THROTTLED, "APIG.0308")) == site
    assert learned(site, Extra.PATCH, an_answer(Outcome.OK)).has_patch is Has.YES


def test_each_endpoint_is_remembered_by_itself() -> None:
    """What one site lacks says nothing about another."""
    sites, here, there = Sites(), URL("https://a.example"), URL("https://b.example")

    sites.learn(here, Extra.DELETE, an_answer(Outcome.NO_SUCH_API))

    assert sites.at(here).has_delete is Has.NO
    assert sites.at(there) == Site()
