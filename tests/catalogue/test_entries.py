"""The catalogue: complete in both languages, and of one mind with the tables of the worker."""

import re
from collections import Counter
from importlib import import_module
from pkgutil import walk_packages

import pytest

import config
import jobs
import worker
from jobs.catalogue.entries import RETRY_WORDS, Entry, Family, Language, Retry
from jobs.catalogue.lookup import cause_entry, family_of, find, named, reason_entry, unknown_entry
from jobs.catalogue.reading import entries, parsed
from jobs.causes import CAUSES
from jobs.errors import PlugwaveError
from jobs.outcomes import BY_OUTCOME, Answer, Outcome
from worker.cli.catalogue import COMMANDS
from worker.cli.catalogue import Entry as Command
from worker.modelarts import codes
from worker.modelarts.codes import KNOWN_CODES, KnownCode
from worker.modelarts.errors import (
    AUTH_PHRASES,
    AuthFault,
    Envelope,
    auth_fault,
    classify_status,
    outcome_of,
)

NOT_STATED = {"modelarts-50025002"}
"""Codes for which no source names an HTTP status."""

each_entry = pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.key)
each_status = pytest.mark.parametrize(
    ("known", "status"),
    [(known, status) for known in KNOWN_CODES for status in known.statuses],
    ids=lambda value: f"{value.family}-{value.digits}" if isinstance(value, KnownCode) else None,
)


def spelled(known: KnownCode) -> str:
    """Return the code as the cloud writes it."""
    return f"{'APIGW' if known.family is codes.Family.GATEWAY else 'ModelArts'}.{known.digits}"


@each_entry
def test_an_entry_is_complete_in_both_languages(entry: Entry) -> None:
    """What it is, why, and what to do: each in one line of English and one of Chinese."""
    for language in Language:
        told = entry.texts[language]
        for text in (told.title, told.likely, told.do):
            assert text
            assert text == " ".join(text.split())
            assert not text.endswith((".", "\u3002"))
            chinese = re.search("[\u4e00-\u9fff]", text) is not None
            assert chinese is (language is Language.ZH), text


@each_entry
def test_an_entry_says_what_to_mend_and_not_to_retry(entry: Entry) -> None:
    """Whether a retry helps is a word of its own, so that every surface says it once."""
    assert "retry the job" not in entry.texts[Language.EN].do
    assert entry.cause_class in {cause.cause_class for cause in CAUSES.values()} | {"bug", "other"}


@each_entry
def test_a_pattern_is_written_in_lower_case(entry: Entry) -> None:
    """Messages are lowered before they are searched, so a capital would never be found."""
    if entry.pattern is not None:
        assert entry.pattern.pattern == entry.pattern.pattern.lower()


def test_no_key_is_given_out_twice() -> None:
    """Fingerprints are made from keys, so a key means one thing."""
    repeated = {key: n for key, n in Counter(entry.key for entry in entries()).items() if n > 1}

    assert repeated == {}
    assert len(entries()) > 120


def test_no_entry_hides_another() -> None:
    """Of the entries of one code and status only the last one takes every text."""
    for entry in entries():
        if entry.family in {Family.REASON, Family.UNKNOWN}:
            continue
        for code in entry.codes:
            rivals = [
                other
                for other in entries()
                if other.family is entry.family
                and code in other.codes
                and (not entry.statuses or set(entry.statuses) & set(other.statuses))
            ]
            assert [one.pattern is None for one in rivals] == [False] * (len(rivals) - 1) + [True]


def test_every_word_for_a_retry_is_told_in_both_languages() -> None:
    """No entry ends in a word that nobody translated."""
    assert all(set(RETRY_WORDS[language]) == set(Retry) for language in Language)


@each_status
def test_every_code_of_the_worker_has_an_entry_of_the_same_class(
    known: KnownCode, status: int
) -> None:
    """The worker and the catalogue judge an answer alike, status by status."""
    entry = find(status, spelled(known), "")

    assert entry is not None
    family = codes.Family(known.family)
    outcome = outcome_of(status, Envelope(family=family, digits=known.digits))
    assert entry.cause_class == BY_OUTCOME[outcome].cause_class
    assert family_of(spelled(known)) == (Family(known.family.value), known.digits)


def test_every_cloud_code_of_the_catalogue_is_one_the_worker_knows() -> None:
    """Neither table has a row that the other forgot."""
    known = {(one.family.value, one.digits): set(one.statuses) for one in KNOWN_CODES}
    for entry in entries():
        if entry.family in {Family.MODELARTS, Family.GATEWAY} and entry.key not in NOT_STATED:
            for code in entry.codes:
                assert set(entry.statuses) <= known[entry.family.value, code]


@pytest.mark.parametrize(("phrase", "fault"), AUTH_PHRASES)
def test_every_text_of_0301_has_an_entry_of_its_own(phrase: str, fault: AuthFault) -> None:
    """The code is the same for all of them, so the message decides."""
    message = f"Incorrect IAM authentication information: {phrase}, and so on"
    entry = find(401, "APIG.0301", message)

    assert entry is not None
    assert entry.pattern is not None
    wait = entry.retry is Retry.WAIT
    assert wait is (fault is AuthFault.LOCKED)
    answer = Answer(
        outcome=Outcome.UNAUTHENTICATED, sent=True, error_code="APIG.0301", message=message
    )
    assert auth_fault(answer) is fault


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (400, "ModelArts.50004000", "Bad request."),
        (400, "ModelArts.50004000", "Plugin volcano already exists."),
        (400, "ModelArts.50004000", "Version 9 doesn't exists here"),
        (400, "ModelArts.50004000", "an upgrade is in progress"),
        (429, "APIG.0308", "Daily quota exhausted"),
        (
            429,
            "APIG.0308",
            "The throttling threshold has been reached: policy ip,limit:9,time:1 day",
        ),
        (429, "APIG.0308", "daily quota policy, limit:10,time:1 day"),
    ],
)
def test_where_the_text_decides_it_decides_as_the_worker_does(
    status: int, code: str, message: str
) -> None:
    """One reading of a message in the whole house."""
    body = f'{{"error_code":"{code}","error_msg":"{message}"}}'.encode()
    answer = classify_status(status, {}, body, now_us=0)
    entry = find(status, code, message)

    assert entry is not None
    assert entry.cause_class == BY_OUTCOME[answer.outcome].cause_class
    assert (entry.key == "gateway-0308-quota") is (answer.outcome is Outcome.QUOTA_SPENT)


@pytest.mark.parametrize("word", sorted(CAUSES))
def test_every_cause_has_an_entry_with_its_title_and_class(word: str) -> None:
    """Outcomes of a request and what reads showed: one word, one title."""
    entry = cause_entry(word)

    assert entry is not None
    assert entry.cause_class == CAUSES[word].cause_class
    assert entry.texts[Language.EN].title == CAUSES[word].title


def test_there_is_no_entry_for_a_cause_that_does_not_exist() -> None:
    """A word that was taken back is not explained."""
    words = {code for one in entries() if one.family is Family.CAUSE for code in one.codes}

    assert words == set(CAUSES)


def all_errors(root: type[PlugwaveError]) -> set[str]:
    """Return the codes of the class and of everything that inherits from it."""
    found = {root.code}
    for kind in root.__subclasses__():
        found |= all_errors(kind)
    return found


@pytest.mark.slow  # it imports the whole house
def test_every_error_of_ours_has_an_entry() -> None:
    """Whatever stands in brackets after ``error`` can be explained, and nothing else can."""
    for package in (jobs, config, worker):
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                import_module(module.name)
    raised = {code for code in all_errors(PlugwaveError) if not code.startswith("TEST")}

    assert {code for one in entries() if one.family is Family.OURS for code in one.codes} == raised


def command_lines(commands: dict[str, Command], prefix: str = "plugwave") -> set[str]:
    """Return the words of every command."""
    found = set()
    for name, entry in commands.items():
        line = f"{prefix} {name}"
        found |= {line} if entry.commands is None else command_lines(dict(entry.commands), line)
    return found


@each_entry
def test_a_command_in_a_remedy_exists(entry: Entry) -> None:
    """Nobody is sent to a command that is not there."""
    known = command_lines(dict(COMMANDS))
    for language in Language:
        told = entry.texts[language]
        for text in (told.likely, told.do):
            for words in re.findall(r"plugwave ([a-z]+(?: [a-z]+)?)", text):
                first, _, second = words.partition(" ")
                if first in COMMANDS:
                    both = f"plugwave {first} {second}"
                    assert COMMANDS[first].commands is None or both in known, text


@pytest.mark.parametrize("text", ["rule", "key", "http"])
def test_a_mistake_in_a_file_is_an_error_at_once(text: str) -> None:
    """A misspelt or missing line never becomes an entry without it."""
    whole = (
        'family = "ours"\n[[entry]]\nkey = "X"\ncodes = ["X"]\nclass = "bug"\nretry = "no"\n'
        'en = {title = "t", likely = "l", do = "d"}\nzh = {title = "t", likely = "l", do = "d"}\n'
    )
    assert [entry.key for entry in parsed(whole)] == ["X"]
    broken = {
        "rule": whole.replace("retry =", "retri ="),
        "key": whole.replace('key = "X"\n', ""),
        "http": whole.replace(', do = "d"}\nzh', "}\nzh"),
    }

    with pytest.raises(ValueError, match="lacks"):
        list(parsed(broken[text]))


def test_the_status_decides_before_the_digits() -> None:
    """One number means different things with different statuses."""
    too_large, fault = find(413, "APIGW.0201", ""), find(502, "APIGW.0201", "")

    assert too_large is not None
    assert fault is not None
    assert (too_large.retry, fault.retry) == (Retry.NO, Retry.YES)
    assert find(404, "ModelArts.0204", "") is None
    assert find(None, "ModelArts.0204", "") is None


@pytest.mark.parametrize("prefix", ["APIG", "APIGW", "APIC", "apigw"])
def test_the_prefixes_of_the_gateway_are_equal(prefix: str) -> None:
    """Installations of the gateway spell its name differently."""
    entry = find(403, f"{prefix}.0302", "")

    assert entry is not None
    assert entry.key == "gateway-not-allowed"
    assert find(403, "ModelArts.0302", "") is None


@pytest.mark.parametrize("code", [None, "IAM.0001", "403", "APIGW.9999", "APIGW.", "apigw-0302"])
def test_what_is_not_in_the_catalogue_has_no_nearest_entry(code: str | None) -> None:
    """A wrong explanation is worse than none."""
    assert find(403, code, "verify aksk signature fail") is None


@pytest.mark.parametrize(
    ("reason", "key"),
    [
        ('Back-off pulling image "a.example/volcano:1.15.8": ImagePullBackOff', "image-pull"),
        ("ErrImagePull: rpc error: dial tcp 10.0.0.1:443: i/o timeout", "image-pull"),
        (
            "Failed to pull image a.example/v:1: dial tcp: lookup a.example: no such host",
            "image-pull",
        ),
        ("ImagePullBackOff: manifest for a/b:9 not found: manifest unknown", "image-unknown"),
        ("ImagePullBackOff: pull access denied for a/b", "image-denied"),
        ("InvalidImageName", "image-name"),
        ("0/3 nodes are available: 3 Insufficient cpu.", "insufficient-cpu"),
        ("0/3 nodes are available: 2 Insufficient memory.", "insufficient-memory"),
        ("0/8 nodes are available: 8 Insufficient huawei.com/ascend-1980.", "insufficient-other"),
        ("0/3 nodes are available: 3 node(s) had untolerated taint {a: b}.", "no-fitting-node"),
        ("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity", "no-fitting-node"),
        ("0/2 nodes are available: 2 node(s) were unschedulable.", "nodes-not-ready"),
        ("FailedScheduling: no fit", "failed-scheduling"),
        ("back-off 5m0s restarting failed container=a pod=b", "crash-loop"),
        ("CrashLoopBackOff", "crash-loop"),
        ("container a was OOMKilled", "out-of-memory"),
        ("Readiness probe failed: HTTP probe failed with statuscode: 503", "probe"),
        ('MountVolume.SetUp failed for volume "x": not there', "mount"),
        ('secret "registry" not found', "config-missing"),
        ("Evicted: The node was low on resource", "evicted"),
        ("Deployment exceeded its progress deadline", "not-ready-in-time"),
        ("execution error at (a/templates/x.yaml:3:4): invalid value", "inputs-refused"),
        ("admission webhook x denied the request", "admission"),
        ("", "abnormal-silent"),
        ("the plug-in is Abnormal and gives no reason", "abnormal-silent"),
    ],
)
def test_an_abnormal_plugin_is_explained_by_its_reason(reason: str, key: str) -> None:
    """What Kubernetes says becomes a title and a remedy."""
    entry = reason_entry(reason)

    assert entry is not None
    assert entry.key == key


@pytest.mark.parametrize("evil", ["image ", "fail ", "node ", "port ", "secret ", "template "])
def test_hostile_text_is_searched_in_no_time(evil: str) -> None:
    """No reason text makes the search slow; a slow one would run into the test's time limit."""
    assert reason_entry(evil * 20_000) is None


def test_a_reason_nobody_knows_has_no_entry() -> None:
    """It is told as unknown."""
    assert reason_entry("the moon was in the wrong quarter") is None
    assert unknown_entry().key == "unknown"


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        ("STORE-02", {"STORE-02"}),
        ("store-02", {"STORE-02"}),
        ("abnormal", {"abnormal"}),
        ("ImagePullBackOff", {"image-pull"}),
        ("ModelArts.50015001", {"modelarts-50015001"}),
        ("50015001", {"modelarts-50015001"}),
        ("APIC.0302", {"gateway-not-allowed"}),
        ("0302", {"gateway-not-allowed"}),
        (
            "0101",
            {"gateway-0101", "modelarts-parameter"},
        ),
        ("nonsense", set()),
        ("unknown", set()),
        ("", set()),
    ],
)
def test_a_person_may_type_any_usual_name(typed: str, keys: set[str]) -> None:
    """Codes with or without prefix, causes and reason words, in any case."""
    assert {entry.key for entry in named(typed)} == keys
