"""What a closed model's complaints mean for the person who wrote the file.

pydantic finds; this module says which field, where it stands, what was expected and what
was most likely meant.  A missing field that a misspelt one explains is not told twice.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from jobs.requests import did_you_mean, quoted
from jobs.rollouts.marks import Finding, Path, dotted
from jobs.rollouts.yamltext import YamlDocument

MISSING: Final = "MAN-05"
WRONG_VALUE: Final = "MAN-06"
UNKNOWN_FIELD: Final = "MAN-07"
CONTRADICTION: Final = "MAN-08"

MAX_FINDINGS: Final = 50

_WORDS: Final[Mapping[str, str]] = {
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "int_parsing": "must be a whole number",
    "list_type": "must be a list",
    "dict_type": "must be a mapping of fields",
    "model_type": "must be a mapping of fields",
    "model_attributes_type": "must be a mapping of fields",
    "string_unicode": "holds half of a surrogate pair",
}
_BOOLEAN_WORDS: Final = {
    "yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false",
}  # fmt: skip
_EXPECTED: Final = re.compile(r"'([^']*)'")
_INPUTS: Final = "inputs"


def findings_of(
    error: ValidationError, document: YamlDocument, model: type[BaseModel]
) -> list[Finding]:
    """Return what *error* says, in the order of the file."""
    details = error.errors(include_url=False)
    unknown: dict[Path, str | None] = {}
    for detail in details:
        if detail["type"] == "extra_forbidden":
            path = _path(detail)
            around = _value_at(document.value, path[:-1])
            unknown[path] = meant(str(path[-1]), fields_at(model, path[:-1]), around)
    explained = {(*path[:-1], likely) for path, likely in unknown.items() if likely}
    found = [
        _finding(detail, document, unknown)
        for detail in details
        if not (detail["type"] == "missing" and _path(detail) in explained)
    ]
    found.sort(key=lambda one: (one.mark.line, one.mark.column) if one.mark else (0, 0))
    unique = list(dict.fromkeys(found))
    return unique[:MAX_FINDINGS]


def meant(name: str, known: Sequence[str], around: object) -> str | None:
    """Return the field that *name* was most likely meant to be; one that is not there first."""
    squeezed = {_squeezed(field): field for field in known}
    absent = [field for field in known if not isinstance(around, dict) or field not in around]
    same = squeezed.get(_squeezed(name))
    return same or did_you_mean(name, absent) or did_you_mean(name, known)


def _squeezed(name: str) -> str:
    """Return the name without what people forget: case, dashes and underscores."""
    return name.lower().replace("_", "").replace("-", "")


def fields_at(model: type[BaseModel], path: Path) -> list[str]:
    """Return the fields there are at *path* of a document of *model*."""
    found: type[BaseModel] | None = model
    for part in path:
        if isinstance(part, int) or found is None:
            continue
        found = _model_of(found, part)
    return [] if found is None else [_alias(found, name) for name in found.model_fields]


def _alias(model: type[BaseModel], name: str) -> str:
    return model.model_fields[name].alias or name


def _model_of(model: type[BaseModel], alias: str) -> type[BaseModel] | None:
    for name, field in model.model_fields.items():
        if _alias(model, name) == alias:
            return next(iter(_models_in(field.annotation)), None)
    return None


def _models_in(annotation: Any) -> Iterable[type[BaseModel]]:  # noqa: ANN401 - a type expression
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _path(detail: ErrorDetails) -> Path:
    at: Path = ()
    if detail["type"] == "complaint":
        at = tuple(detail["ctx"]["at"])
    return (*(part for part in detail["loc"] if part != "[key]"), *at)


def _value_at(value: Any, path: Path) -> Any:  # noqa: ANN401 - any JSON value
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _finding(
    detail: ErrorDetails, document: YamlDocument, unknown: Mapping[Path, str | None]
) -> Finding:
    path = _path(detail)
    shown = _harmless(dotted(path))
    kind = detail["type"]
    if kind == "extra_forbidden":
        likely = unknown[path]
        name = quoted(str(path[-1]))
        hint = f"did you mean '{likely}'?" if likely else None
        mark = document.mark(path, key=True)
        return Finding(
            code=UNKNOWN_FIELD, message=f"unknown field {name}", do=hint, path=shown, mark=mark
        )
    if kind == "missing":
        mark = document.mark(path, key=True)
        return Finding(code=MISSING, message=f"{shown} is missing", path=shown, mark=mark)
    message, hint = _wrong_value(detail, document, path)
    whole = kind == "complaint" and isinstance(detail["input"], dict)
    subject = _harmless(dotted(path[-2:] if path and isinstance(path[-1], int) else path[-1:]))
    sign = "" if message.startswith(("must ", "is ")) else ":"
    text = f"{subject or 'the file'}{sign} {message}"
    code = CONTRADICTION if whole else WRONG_VALUE
    return Finding(code=code, message=text, do=hint, path=shown, mark=document.mark(path))


def _harmless(text: str) -> str:
    return text if text.isprintable() and len(text) <= 200 else quoted(text)[1:-1]


def _wrong_value(
    detail: ErrorDetails, document: YamlDocument, path: Path
) -> tuple[str, str | None]:
    """Return what is wrong with a value, and the advice."""
    if detail["type"] == "complaint":
        return str(detail["ctx"]["message"]), detail["ctx"]["suggestion"]
    value = detail["input"]
    words = _WORDS.get(detail["type"])
    if detail["type"] in {"literal_error", "enum"}:
        return _not_in_list(detail, value)
    if words is None:
        return _in_pydantics_words(detail), None
    if _INPUTS in path:
        return words, None
    mark = document.mark(path)
    return f"{words}, not {_kind(value)}", _advice(detail["type"], value, mark.raw if mark else "")


def _advice(kind: str, value: object, raw: str) -> str | None:
    """Return how the value is written so that it means what it looks like."""
    if kind == "string_type" and isinstance(value, int | float):
        written = raw or str(value)
        spoilt = isinstance(value, float) and written != str(value)
        note = f"; without quotes {written} is the number {value}" if spoilt else ""
        return f'write it in quotes: "{written}"{note}'
    if kind == "bool_type" and isinstance(value, str):
        word = _BOOLEAN_WORDS.get(value.lower())
        return f"write {word}; in YAML 1.2 '{value[:10]}' is a text" if word else None
    if kind == "list_type" and isinstance(value, dict):
        return "begin each item with '- '"
    return None


def _not_in_list(detail: ErrorDetails, value: object) -> tuple[str, str | None]:
    wanted = _EXPECTED.findall(str(detail["ctx"].get("expected", "")))
    if not wanted:
        return f"must be {str(detail['ctx'].get('expected', 'another value')).lower()}", None
    near = did_you_mean(str(value).lower(), wanted) if isinstance(value, str) else None
    shown = f", not {quoted(value)}" if isinstance(value, str) else f", not {_kind(value)}"
    listed = wanted[0] if len(wanted) == 1 else f"one of {', '.join(wanted)}"
    return f"must be {listed}{shown}", f"did you mean '{near}'?" if near else None


def _in_pydantics_words(detail: ErrorDetails) -> str:
    """Return the message of a check of sizes, which holds no value of the file."""
    said = detail["msg"].rstrip(".")
    said = said.replace("Input should be", "must be").replace("List should", "must")
    said = said.replace("Dictionary should", "must").replace(" after validation", "")
    return said[:1].lower() + said[1:] if not said.startswith("must") else said


def _kind(value: object) -> str:
    """Say what a value is in YAML's words."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}" if abs(value) < 10**15 else "a number"
    if isinstance(value, str):
        return f"the text {quoted(value)}"
    kinds: dict[type, str] = {dict: "a mapping", list: "a list"}
    return kinds.get(value.__class__, "nothing")
