"""`explain`: a page for each code and cause, in two languages."""

import pytest

from jobs.catalogue.entries import Language
from tests.cli.running import Cli
from worker.cli.explain import spoken
from worker.cli.paragraphs import wrapped
from worker.cli.printing import cells


@pytest.fixture(autouse=True)
def no_language(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's language is in the way."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)


def test_a_code_of_ours_is_explained(cli: Cli) -> None:
    """What stands in brackets after ``error`` has a page; no store is needed for it."""
    ran = cli("explain", "store-02")

    assert ran.code == 0
    assert ran.lines == [
        "STORE-02",
        "  what      there is no space left for the store",
        "  likely    the disk or the user's quota is full; what was accepted is untouched",
        "  do        free disk space; the work goes on by itself from where it stopped",
        "  retry     worth a retry after a fix",
        "  class     store",
    ]
    assert not cli.store_path.exists()


@pytest.mark.parametrize("code", ["0301", "APIGW.0301", "APIG.0301", "apic.0301"])
def test_a_code_with_several_texts_is_explained_for_each(cli: Cli, code: str) -> None:
    """The same code may mean a wrong key, a locked one or an old token."""
    ran = cli("explain", code)

    heads = [line for line in ran.lines if line and not line.startswith(" ")]
    assert heads[0] == 'APIGW.0301  HTTP 401  "verify aksk signature fail"'
    assert heads[-1] == "APIGW.0301  HTTP 401"
    assert len(heads) == 7


def test_the_answer_can_be_had_in_chinese(cli: Cli) -> None:
    """--lang says which language."""
    ran = cli("explain", "STORE-02", "--lang", "zh")

    assert ran.lines[1] == "  含义      存储空间不足"
    assert ran.lines[4] == "  重试      修复后可以重试"


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, Language.EN),
        ({"LANG": "zh_CN.UTF-8"}, Language.ZH),
        ({"LANG": "de_DE.UTF-8"}, Language.EN),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, Language.EN),
        ({"LANG": "C", "LC_ALL": "zh_TW"}, Language.ZH),
        ({"LANG": "C", "LC_MESSAGES": "zh_CN"}, Language.ZH),
        ({"LANG": "zh_CN", "LC_ALL": ""}, Language.ZH),
    ],
)
def test_without_a_flag_the_environment_says_which_language(
    environ: dict[str, str], language: Language
) -> None:
    """LC_ALL before LC_MESSAGES before LANG; an empty one counts as not set."""
    assert spoken(environ) is language


def test_the_command_asks_the_environment(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person in Beijing needs no flag, and may still ask for English."""
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")

    assert "磁盘" in cli("explain", "STORE-02").out
    assert "磁盘" not in cli("explain", "STORE-02", "--lang", "en").out


def test_the_structured_answer_has_every_field(cli: Cli) -> None:
    """Other programs show the same page."""
    body = cli("explain", "ModelArts.6355", "-o", "json").document

    (entry,) = body["entries"]
    assert (body["code"], body["language"]) == ("ModelArts.6355", "en")
    assert entry == {
        "key": "modelarts-pool-initialising",
        "family": "modelarts",
        "codes": ["ModelArts.6355"],
        "http_statuses": [400],
        "pattern": None,
        "class": "pool",
        "retry": "wait",
        "title": "the pool is being initialised",
        "likely": "the pool is new, and its cluster is not ready yet",
        "do": "wait a minute; if it stays so, look at the pool in the console",
    }


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("abnorml", "abnormal"),
        ("ImagePulBackOff", "ImagePullBackOff"),
        ("STORE-2", "STORE-02"),
        ("APIGW.0309", "APIGW.0308"),
        ("ModelArts.50015002", "ModelArts.50015001"),
    ],
)
def test_a_near_miss_is_suggested(cli: Cli, typed: str, meant: str) -> None:
    """Nothing is found, so it leaves with 6 and names what was probably meant."""
    ran = cli("explain", typed)

    assert ran.code == 6
    assert ran.err.startswith(f"error[JOB-06]: '{typed}' is not in our catalogue")
    assert f"plugwave explain {meant}" in ran.err


def test_a_code_like_no_other_is_told_as_unknown(cli: Cli) -> None:
    """No guess is made, and no terminal is driven by what was typed."""
    ran = cli("explain", "zzzz\x1b[2J")

    assert ran.code == 6
    assert "did you mean" not in ran.err
    assert "\x1b" not in ran.err


def test_no_line_is_wider_than_the_terminal(cli: Cli) -> None:
    """Long texts are wrapped, in Chinese by the width of its characters."""
    for language in Language:
        for code in ("50004000", "0301", "tls-wrong"):
            ran = cli("explain", code, "--lang", language.value)
            assert max(cells(line) for line in ran.lines) <= 100
    long = cli("explain", "50004000", "--lang", "en").lines
    assert any(line.startswith(" " * 12) for line in long)


def test_a_line_never_begins_with_a_closing_mark() -> None:
    """Punctuation stays with the character before it, and nothing is lost."""
    text = "连接超时\uff0c请检查防火墙\u3002then see cloud.endpoint"
    for width in range(6, 40):
        lines = wrapped(text, width)
        assert not any(line[0] in "\uff0c\u3002" for line in lines)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert wrapped("", 10) == []
