"""Fingerprints: equal causes are equal everywhere, different ones are told apart."""

import re

import pytest

from jobs.catalogue.blanking import KEPT, blanked
from jobs.catalogue.diagnosis import diagnose, fingerprint
from jobs.catalogue.entries import Language, Retry

NOT_YET = "not in our catalogue yet"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Pool pool-6f5da0868084d36f not found.", "Pool pool-a not found"),
        ("Pool gold-standard not found", "Pool silver_lining not found."),
        ("Plugintemplate node-local-dns not found.", "Plugintemplate gpu-beta not found."),
        ("node 192.168.0.3 is gone", "node 10.0.0.12:6443 is gone"),
        ("address fe80::1ff:fe23:4567:890a in use", "address ::1 in use"),
        ("since 2026-11-24T12:00:00Z", "since 2025-01-02 03:04:05.678+08:00"),
        ("at 12:40:52 it broke", "at 01:02:03.5 it broke"),
        ("1 of 3 failed", "12 of 300 failed"),
        ("wants 512Mi and 250m", "wants 2Gi and 4"),
        ("version 1.15.8 is too old", "version 2.0.1-r3 is too old"),
        ('job "volcano-agent" failed', "job 'anything else' failed"),
        ("quoted “甲” value", "quoted “乙乙” value"),
        ('cut in "mid quo', 'cut in "another'),
        ("see https://a.example/x?y=1", "see http://b.example:8080/z"),
        ("image a.example/group/volcano:1.15.8 bad", "image b.example:5000/v@sha256:00ff bad"),
        ("request 9c1f3b2a4d5e6f708192a3b4c5d6e7f8", "request deadbeefdeadbeef"),
        ("id 123e4567-e89b-12d3-a456-426614174000", "id 00000000-0000-0000-0000-000000000000"),
        ("agent-7f9c8-x2x4q died", "agent-66-zz9 died"),
        ("Two   spaces\n here", "two spaces here"),
    ],
)
def test_what_differs_from_case_to_case_is_blanked(one: str, other: str) -> None:
    """Ids, numbers, addresses, names, times and quoted values do not make a new cause."""
    assert blanked(one) == blanked(other)


@pytest.mark.parametrize(
    "text",
    [
        "the pool is frozen",
        "the node's disk can't be read, isn't it",
        "x509: certificate signed by unknown authority",
        "quota and/or rights",
    ],
)
def test_words_stay_as_they_are(text: str) -> None:
    """A title that is made of the text can still be read."""
    assert blanked(text) == text


def test_names_that_the_caller_knows_are_blanked_as_whole_words() -> None:
    """A pool may be called anything, also by a word."""
    assert blanked("Pool gold not found in golden", ["gold", "x"]) == "pool <*> not found in golden"
    assert blanked("GOLD is full", ["gold"]) == "<*> is full"
    assert blanked("a.b (c) failed", ["a.b", "(c)"]) == "<*> <*> failed"


def test_a_long_text_is_cut() -> None:
    """Where the cloud cut its text depends on the length of names, so the end does not count."""
    assert len(blanked("word " * 500)) <= KEPT + 1
    assert blanked("word " * 500) == blanked("word " * 900)


@pytest.mark.parametrize(
    "evil", ["a" * 100_000, "'" * 50_000, "1." * 50_000, "a:" * 9_000, "-a/" * 9_000]
)
def test_hostile_text_is_blanked_in_no_time(evil: str) -> None:
    """No text makes the search slow; a slow one would run into the test's time limit."""
    assert len(blanked(evil)) <= KEPT + 1


@pytest.mark.parametrize(
    ("facts", "digest", "title"),
    [
        (
            ("abnormal", None, 200, "ImagePullBackOff: volcano:1.15.8"),
            "f754cc44227c",
            "image could not be pulled",
        ),
        (
            ("forbidden", "APIG.0302", 403, "not allowed"),
            "99e539c38c7f",
            "the caller is not allowed to use this API",
        ),
        (
            ("refused-content", "ModelArts.77777", 400, "Pool pool-a is frozen."),
            "c63a3c069f8a",
            "the cloud refused the content: pool <*> is frozen",
        ),
    ],
)
def test_a_fingerprint_is_the_same_in_every_run(
    facts: tuple[str, str | None, int, str], digest: str, title: str
) -> None:
    """Written down here once, so that groups keep their names over processes and releases."""
    key = fingerprint(*facts)

    assert (key.hash, key.title) == (digest, title)


def test_failures_of_one_cause_have_one_fingerprint() -> None:
    """Another pool, another image, another gateway: the same cause."""
    pulls = {
        fingerprint("abnormal", None, 200, f"ImagePullBackOff: a.example/volcano:1.15.{n}")
        for n in range(3)
    }
    refused = {
        fingerprint("forbidden", f"{prefix}.0302", 403, f"user u{n} may not")
        for n, prefix in enumerate(("APIG", "APIGW", "APIC"))
    }
    strange = {
        fingerprint("refused-content", f"{prefix}.0999", 400, f"shard {n} is away")
        for n, prefix in enumerate(("APIG", "APIGW", "apic"))
    }

    assert (len(pulls), len(refused), len(strange)) == (1, 1, 1)


def test_different_causes_have_different_fingerprints() -> None:
    """Cause, code, status, and the text where it says more than the code."""
    facts: list[tuple[str | None, str | None, int | None, str]] = [
        ("abnormal", None, 200, "ImagePullBackOff"),
        ("abnormal", None, 200, "CrashLoopBackOff"),
        ("abnormal", None, 200, "something strange"),
        ("abnormal", None, 200, "something else"),
        ("unauthenticated", "APIG.0301", 401, "verify aksk signature fail"),
        ("unauthenticated", "APIG.0301", 401, "decrypt token fail"),
        ("refused-content", "ModelArts.50004000", 400, "version is not offered"),
        ("refused-content", "ModelArts.50004000", 400, "inputs are wrong"),
        ("refused-content", "ModelArts.88888", 400, "no"),
        ("refused-content", "ModelArts.88889", 400, "no"),
        ("server-error", "APIG.0999", 500, "no"),
        ("server-error", "APIG.0999", 502, "no"),
        ("server-error", None, 502, "no"),
        ("deadline", None, 200, "the deadline passed while the plug-in was Pending"),
        ("deadline", None, 200, "the deadline passed while the plug-in was absent"),
        (None, None, None, ""),
        ("invented-later", None, None, ""),
    ]

    assert len({fingerprint(*one).hash for one in facts}) == len(facts)


def test_a_hash_is_twelve_hex_digits_and_tells_nothing_of_the_text() -> None:
    """It may stand on a page, in a command and in a metric."""
    key = fingerprint("abnormal", None, 200, "a secret story")

    assert re.fullmatch("[0-9a-f]{12}", key.hash)


@pytest.mark.parametrize(
    "facts",
    [
        ("abnormal", None, 200, "the moon was in the wrong quarter"),
        ("refused-content", "ModelArts.77777", 400, "no"),
        ("server-error", "IAM.0011", 500, "no"),
        ("invented-later", None, None, "no"),
        (None, None, None, ""),
    ],
)
def test_an_unknown_failure_says_that_it_is_unknown(
    facts: tuple[str | None, str | None, int | None, str],
) -> None:
    """Nothing is explained by guessing."""
    found = diagnose(*facts)

    assert not found.known
    assert found.text().likely.startswith(NOT_YET)
    assert found.text(Language.ZH).likely != found.text().likely
    assert found.retry is Retry.AFTER_FIX or facts[0] == "server-error"


@pytest.mark.parametrize(
    ("facts", "key"),
    [
        (("deadline", "APIGW.0308", 429, "the deadline passed"), "deadline"),
        (("attempts-spent", "ModelArts.50005000", 500, "10 attempts"), "attempts-spent"),
        (("server-error", "ModelArts.50005000", 500, "x"), "modelarts-50005000"),
        (("server-error", None, 502, "Bad Gateway"), "server-error"),
        (("conflict", "ModelArts.0101", 400, "it already exists"), "conflict"),
        ((None, "APIGW.0302", 403, ""), "gateway-not-allowed"),
    ],
)
def test_a_code_explains_only_the_cause_it_led_to(
    facts: tuple[str | None, str | None, int | None, str], key: str
) -> None:
    """A job that ran out of time is not explained by the 429 it met on the way."""
    found = diagnose(*facts)

    assert found.entry.key == key
    assert found.known


def test_a_title_does_not_say_the_same_twice() -> None:
    """Where the cloud's text is no more than the title, it stands once."""
    key = fingerprint("refused-content", None, 400, "the cloud refused the content")

    assert key.title == "the cloud refused the content"
