"""`plugwave explain`: what a code or a cause means, why it happens, and what to do."""

import os
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import click

from config.masking import clean_text
from jobs.catalogue.entries import RETRY_WORDS, Entry, Language
from jobs.catalogue.lookup import named, near
from jobs.errors import NothingMatchedError
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.lazy import PlugwaveCommand
from worker.cli.paragraphs import labelled
from worker.cli.printing import document, no_names
from worker.telling.catalogue import entry_fields

LABELS: Final[Mapping[Language, tuple[str, ...]]] = MappingProxyType(
    {
        Language.EN: ("what", "likely", "do", "retry", "class"),
        Language.ZH: ("含义", "可能原因", "处理", "重试", "类别"),
    }
)
LABEL_CELLS: Final = 10

_LOCALES: Final = ("LC_ALL", "LC_MESSAGES", "LANG")

_WORDS: Final = re.compile(r"[\w |-]{1,60}")
"""A pattern that a person can read as the text itself."""


@click.command(cls=PlugwaveCommand)
@click.argument("code")
@click.option(
    "--lang",
    type=click.Choice([language.value for language in Language]),
    help="Language of the answer; else by LC_ALL, LC_MESSAGES and LANG.",
)
@click.pass_obj
def explain(choices: Choices, code: str, lang: str | None) -> None:
    """Explain an error code or a cause.

    CODE is one of ours (STORE-02), one of the cloud's (APIGW.0301, 0301, ModelArts.50015001),
    a cause (abnormal), or a word of a reason (ImagePullBackOff).
    """
    console = Console(choices)
    no_names(console)
    found = named(code)
    if not found:
        raise NothingMatchedError(
            f"'{code}' is not in our catalogue", do=_instead(code), near=list(near(code))
        )
    language = spoken(os.environ) if lang is None else Language(lang)
    if console.structured:
        body = {"code": code, "language": language.value}
        document(console, {**body, "entries": [entry_fields(one, language) for one in found]})
        return
    for number, entry in enumerate(found):
        if number:
            console.out()
        for line in page(entry, language):
            console.out(line)


def _instead(code: str) -> str:
    suggested = near(code)
    if not suggested:
        return "look at what failed: plugwave failures"
    return "did you mean one of these? " + ", ".join(
        f"plugwave explain {name}" for name in suggested
    )


def spoken(environ: Mapping[str, str]) -> Language:
    """Return the language that the environment asks for; the first variable that is set counts.

    Source: POSIX, "Environment Variables", section 8.2.
    """
    locale = next((environ[name] for name in _LOCALES if environ.get(name)), "")
    return Language.ZH if locale.lower().startswith("zh") else Language.EN


def page(entry: Entry, language: Language) -> list[str]:
    """Return the entry as a person reads it."""
    told = entry.texts[language]
    values = (
        told.title,
        told.likely,
        told.do,
        RETRY_WORDS[language][entry.retry],
        entry.cause_class,
    )
    lines = [heading(entry)]
    for label, value in zip(LABELS[language], values, strict=True):
        lines += labelled(label, value, indent=2, label_cells=LABEL_CELLS)
    return lines


def heading(entry: Entry) -> str:
    """Return whose entry it is: ``APIGW.0301  HTTP 401  "verify aksk signature fail"``."""
    parts = [" ".join(entry.names())]
    if entry.statuses:
        parts.append("HTTP " + ", ".join(str(status) for status in entry.statuses))
    says = "" if entry.pattern is None else entry.pattern.pattern
    if says and _WORDS.fullmatch(says):
        parts.append(" or ".join(f'"{words}"' for words in says.split("|")))
    return "  ".join(clean_text(part) for part in parts)
