"""Names: an allow-list decides what may stand in a URL, and nothing is repaired."""

from collections.abc import Callable

import pytest

from jobs.names import is_name, is_project, is_region, is_version

BAD_EVERYWHERE = [
    "",
    " ",
    ".",
    "..",
    "...",
    "../x",
    "x/..",
    "..x/../y",
    "/",
    "//",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "\\",
    "a?b",
    "a#b",
    "a&b=c",
    "a;b",
    "a:b",
    "a@b",
    "a,b",
    "a b",
    " a",
    "a ",
    "a\t",
    "a\n",
    "\na",
    "a\r\nHost: evil",
    "a\x00",
    "\x00",
    "a\x00.png",
    "a\x1b[31m",
    "a\x7f",
    "a\x85",
    "%2e%2e",
    "%2e",
    "%2E%2E%2F",
    "a%2fb",
    "a%00",
    "%",
    "a%",
    "$HOME",
    "`id`",
    "$(id)",
    "'",
    '"',
    "<script>",
    "a|b",
    "a*",
    "a~",
    "a!",
    "{a}",
    "[a]",
    "(a)",
    "a=b",
    "-a",
    "_a",
    ".a",
    "\uff41bc",  # fullwidth a
    "\u0430bc",  # Cyrillic a
    "\u03b1bc",  # Greek alpha
    "p\u043e\u043el",  # Cyrillic o
    "pool\u2010a",  # a hyphen that is none
    "pool\u2013a",  # en dash
    "pool\uff0ea",  # fullwidth full stop
    "a\u2024\u2024b",  # one dot leaders
    "a\uff0fb",  # fullwidth solidus
    "a\u2215b",  # division slash
    "a\u200bb",  # zero width space
    "a\u00adb",  # soft hyphen
    "\ufeffa",  # byte order mark
    "a\u202eb",  # right-to-left override
    "e\u0301",  # e and an accent
    "\u00e9",  # e with an accent
    "\uff11\uff12",  # fullwidth digits
    "\u0663",  # Arabic digit
    "\u00b2",  # superscript digit
    "\u00df",  # sharp s, its upper case has two characters
    "\u0130",  # dotted I, its lower case has two characters
    "\u017f",  # long s, matched by s without regard to case
    "\u212a",  # Kelvin sign, matched by k without regard to case
    "\ud800",  # half a surrogate pair
    "\U0001f4a5",  # outside the basic plane
    "a" * 300,
]
"""Over sixty ways to be something else than a plain name."""


def shown(text: str) -> str:
    """Return the text as a test id that a terminal can print."""
    return ascii(text)[:24]


def test_there_are_enough_bad_names() -> None:
    """The list stays long, and names nothing twice."""
    assert len(set(BAD_EVERYWHERE)) == len(BAD_EVERYWHERE) >= 60


@pytest.mark.parametrize("text", BAD_EVERYWHERE, ids=shown)
def test_nothing_strange_is_a_name(text: str) -> None:
    """Dots, slashes, escapes, controls and look-alikes never reach the wire."""
    assert not is_name(text)
    assert not is_project(text)
    assert not is_region(text)
    assert not is_version(text)


@pytest.mark.parametrize("text", ["a..b", "a..", "pool..old"])
def test_two_dots_are_no_name_anywhere(text: str) -> None:
    """Libraries fold dots, so two of them in a row are refused also inside a name."""
    assert not is_name(text)
    assert not is_project(text)


@pytest.mark.parametrize("text", ["a.b", "a/b", "a+b", "\u00c4"])
def test_a_project_is_letters_digits_and_dashes(text: str) -> None:
    """Project ids are hex digits in real life; nothing with dots is one."""
    assert not is_project(text)


@pytest.mark.parametrize("text", ["CN-NORTH-4", "cn_north", "cn.north", "a.evil.com"])
def test_a_region_cannot_name_another_host(text: str) -> None:
    """A region becomes part of a host name, so it has neither dots nor capitals."""
    assert not is_region(text)


@pytest.mark.parametrize(
    ("most", "accepts"), [(128, is_name), (64, is_project), (64, is_region), (128, is_version)]
)
def test_lengths_end_where_they_are_stated(most: int, accepts: Callable[[str], bool]) -> None:
    """The longest one passes, and one character more does not."""
    assert accepts("a" * most)
    assert not accepts("a" * (most + 1))


def test_real_names_pass() -> None:
    """What the cloud's own examples use is accepted."""
    assert is_project("0a1b2c3d4e5f60718293a4b5c6d7e8f9")
    assert is_name("pool-6f5d8f0b4f7d4b3a9a3b2a1c0d9e8f7a")
    assert is_name("node-local-dns")
    assert is_name("os_driver.v2")
    assert is_region("cn-north-4")
    assert is_version("1.6.36")
    assert is_version("7.3.0-20250117+abc")
