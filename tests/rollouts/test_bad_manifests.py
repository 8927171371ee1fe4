"""Five hundred wrong manifests: each is told with the place, and none is a traceback."""

import random

import pytest

from jobs.errors import ManifestError
from jobs.rollouts.reading import read_manifest
from tests.rollouts.bad import CHANGES, SMALL, WHOLE
from tests.rollouts.building import FULL

GENERATED = 460
SEED = 20261124
SIGNS = "\t\x00{}[]:,'\"#&*!|>%@`?-"
WRONG = (
    *(
        "",
        "~",
        "[]",
        "{}",
        "-1",
        "3.5",
        "yes",
        "'",
        '"',
        "*x",
        "&x",
        "!!x",
        "\t",
        "a: b",
        "{a",
        "]",
    ),
    *("2026-11-24", ".inf", "0x1G", "\u202e", "%", "@", "|", ">", "? ", "<<: x", "[[[", "1e400"),
)


def findings(data: bytes) -> list[dict[str, object]] | None:
    """Return what is wrong, None if nothing is; anything but our own error is a failure."""
    try:
        read_manifest(data, "bad.yaml")
    except ManifestError as error:
        refused = error
    else:
        return None
    found = refused.facts["problems"]
    assert isinstance(found, list)
    assert str(refused).startswith("bad.yaml")
    return found


def test_the_manifest_that_is_spoilt_is_good() -> None:
    """What the cases below change is accepted as it stands."""
    assert findings(SMALL.encode()) is None


def test_there_are_enough_of_them() -> None:
    """Made by hand and generated, they are five hundred and more."""
    assert len(CHANGES) + len(WHOLE) >= 60
    assert len(CHANGES) + len(WHOLE) + GENERATED >= 500


@pytest.mark.parametrize("case", list(CHANGES))
def test_a_mistake_is_told_where_it_stands(case: str) -> None:
    """The first finding has the code and the place of the mistake."""
    old, new, code, place = CHANGES[case]
    assert old in SMALL

    found = findings(SMALL.replace(old, new, 1).encode())

    assert found
    first = next(one for one in found if one["code"] == code)
    assert f"{first['line']}:{first['column']}" == place, found


@pytest.mark.parametrize("case", list(WHOLE))
def test_a_file_that_is_no_manifest_is_told_so(case: str) -> None:
    """Whatever somebody hands over, the answer is a clean error."""
    data, code = WHOLE[case]

    found = findings(data)

    assert found
    assert code in {one["code"] for one in found}


def spoilt(text: str, chance: random.Random) -> str:
    """Return a good manifest with one mistake in it."""
    lines = text.splitlines()
    place = chance.randrange(len(lines))
    line = lines[place]
    key, colon, value = line.partition(":")
    match chance.randrange(7):
        case 0:  # a letter of a key is lost
            cut = chance.randrange(max(1, len(key)))
            lines[place] = key[:cut] + key[cut + 1 :] + colon + value
        case 1:  # a value is something else
            lines[place] = f"{key}: {chance.choice(WRONG)}"
        case 2:  # a line is there twice
            lines.insert(place, line)
        case 3:  # a line is gone
            del lines[place]
        case 4:  # the indentation is off
            lines[place] = " " * chance.randrange(1, 4) + line
        case 5:  # a character is another one
            cut = chance.randrange(max(1, len(line)))
            lines[place] = line[:cut] + chance.choice(SIGNS) + line[cut + 1 :]
        case _:  # the file ends early
            del lines[place:]
    return "\n".join(lines) + "\n"


@pytest.mark.slow
def test_generated_mistakes_are_told_with_a_place() -> None:
    """Each of 460 spoilt manifests gives findings with line and column, and nothing else."""
    chance = random.Random(SEED)
    refused = 0
    while refused < GENERATED:
        text = spoilt(SMALL if refused % 5 else FULL, chance)
        found = findings(text.encode())
        if found is None:
            continue  # the mistake was none: a comment, or an optional line
        refused += 1
        for one in found:
            assert one["message"]
            assert one["line"], (one, text)
            assert 0 < int(str(one["line"])) <= text.count("\n") + 1
