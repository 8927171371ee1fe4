"""What is written down: codes that never change, and values that come back whole."""

from dataclasses import replace

import pytest

from jobs.errors import BadRequestError
from jobs.model import PluginSeen, PluginWish, Progress
from jobs.states import FINAL_STATES, HELD_STATES, JobState, WaitReason
from jobs.store.schema import (
    HELD_CODES,
    LAST_OPEN,
    POOL_KEEPING,
    REASON_CODES,
    REASONS,
    STATE_CODES,
    STATES,
    json_text,
    pack_digest,
    progress_text,
    progress_value,
    unpack_digest,
    wish_text,
    wish_value,
)


def test_the_codes_of_states_never_change() -> None:
    """Files of every age mean the same by a number; partial indexes name these."""
    assert [STATE_CODES[state] for state in JobState] == list(range(1, 13))
    assert {STATES[code] for code in HELD_CODES} == HELD_STATES
    assert (LAST_OPEN, sorted(HELD_CODES)) == (6, [3, 4, 5, 6])
    assert {code for code, state in STATES.items() if state in FINAL_STATES} == set(range(7, 13))


def test_the_codes_of_reasons_never_change() -> None:
    """Every reason has its number, and 0 is none."""
    assert [REASON_CODES[reason] for reason in (None, *WaitReason)] == list(range(14))
    assert [REASONS[REASON_CODES[reason]] for reason in WaitReason] == list(WaitReason)
    assert (REASON_CODES[WaitReason.POOL_BUSY], REASON_CODES[WaitReason.BACKOFF]) == (9, 8)
    assert {WaitReason.BACKOFF, WaitReason.RATE_LIMIT, WaitReason.BREAKER} == POOL_KEEPING


def test_progress_is_kept_without_its_defaults() -> None:
    """A job that has not begun costs nothing, and a little progress costs little."""
    assert progress_text(Progress()) is None
    assert progress_text(Progress(calls=2, adopted=False)) == '{"calls":2}'
    assert progress_value(None) == Progress()


def test_progress_comes_back_whole() -> None:
    """Trees, the plug-in seen before, and paths are what they were."""
    seen = PluginSeen(name="n", version="1", phase="Running", reason="r", inputs={"a": [1, None]})
    whole = Progress(inputs={}, before=seen, inputs_changed=("a", "b.c"), checked=True, sent_us=5)

    assert progress_value(progress_text(whole)) == whole
    assert progress_value(progress_text(replace(whole, before=None))).before is None


def test_equal_wishes_are_written_alike() -> None:
    """The order of keys makes no second document."""
    one = PluginWish(name="n", inputs={"a": 1, "b": {"c": 2, "d": 3}})
    two = PluginWish(name="n", inputs={"b": {"d": 3, "c": 2}, "a": 1})

    assert wish_text(one) == wish_text(two)
    assert wish_value(wish_text(one)) == (one, None)


@pytest.mark.parametrize("value", [{"n": 2**70}, {"t": "\ud800"}, {"o": object()}])
def test_what_json_cannot_hold_is_refused_unseen(value: object) -> None:
    """The error says what kind of value cannot be stored, and never the value."""
    with pytest.raises(BadRequestError) as caught:
        json_text(value)

    assert str(2**70) not in repr(caught.value.as_dict())


@pytest.mark.parametrize(
    ("text", "kind"),
    [("0a" * 32, bytes), ("0A" * 32, str), ("natural", str), ("zz" * 32, str), ("", str)],
)
def test_digests_come_back_as_they_were(text: str, kind: type) -> None:
    """A SHA-256 is kept as 32 bytes, any other text as it stands."""
    assert isinstance(pack_digest(text), kind)
    assert unpack_digest(pack_digest(text)) == text
