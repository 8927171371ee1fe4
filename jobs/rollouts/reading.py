"""From the bytes of a file to a manifest, or to everything that is wrong with it."""

import copy
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError

from jobs.errors import ManifestError, manifest_error
from jobs.requests import did_you_mean
from jobs.rollouts.findings import findings_of
from jobs.rollouts.manifest import Manifest, with_preset
from jobs.rollouts.marks import Finding, Mark, excerpt
from jobs.rollouts.recurring import (
    KIND,
    ScheduleManifest,
    rollout_of,
    with_inner_preset,
)
from jobs.rollouts.yamltext import SYNTAX, YamlDocument, YamlRefusedError, parse_yaml

NO_TEXT: Final = "MAN-01"
CANNOT_SET: Final = "MAN-09"

_Model = type[Manifest] | type[ScheduleManifest]
_KINDS: Final[Mapping[str, tuple[_Model, Callable[[Any], Any]]]] = MappingProxyType(
    {KIND: (ScheduleManifest, with_inner_preset)}
)
"""Kinds beside the rollout, which is what a misspelt kind is compared with."""


def read_manifest(data: bytes, name: str, changes: Mapping[str, str] | None = None) -> Manifest:
    """Return the manifest that a file holds.

    Args:
        data: The file.
        name: What it is called in messages.
        changes: Values by dotted path that are laid over it (``--set``), each as YAML.

    Of a schedule's manifest it is that of the rollout of each tick.

    Raises:
        ManifestError: If it is not acceptable; tells all findings at once, each with its
            place, and never holds a value of the plug-in's inputs.
    """
    found = read_document(data, name, changes)
    return rollout_of(found) if isinstance(found, ScheduleManifest) else found


def read_document(
    data: bytes, name: str, changes: Mapping[str, str] | None = None
) -> Manifest | ScheduleManifest:
    """Return what a file holds, a rollout or a schedule; as `read_manifest`.

    Raises:
        ManifestError: Likewise.
    """
    document = document_of(data, name, do="begin with one that works: plugwave init")
    document = _changed(document, changes or {}, name)
    kind = str(document.value.get("kind"))
    meant = did_you_mean(kind, [*_KINDS, "Rollout"]) or kind
    model, fill = _KINDS.get(meant, (Manifest, with_preset))
    try:
        return model.model_validate(fill(document.value))
    except ValidationError as error:
        found = findings_of(error, document, model)
    raise refusal(found, name, document.lines)


def document_of(
    data: bytes, name: str, *, do: str | None = None, shown: Callable[[str], str] = str
) -> YamlDocument:
    """Return what a file holds, which is a mapping of fields.

    Args:
        data: The file.
        name: What it is called in messages.
        do: The advice for a file that holds no such mapping.
        shown: What a line looks like in messages; it may hold what must not be seen.

    Raises:
        ManifestError: If it is no UTF-8, no YAML, or no mapping.
    """
    text = decoded(data, name)
    try:
        document = parse_yaml(text)
    except YamlRefusedError as error:
        raise refusal(error.findings, name, [shown(line) for line in error.lines]) from None
    if isinstance(document.value, dict):
        return document
    what = "empty" if document.value is None else "no mapping of fields"
    finding = Finding(
        code=SYNTAX,
        message=f"the file is {what}",
        do=do,
        mark=document.mark(()) or Mark(1, 1),
    )
    raise refusal([finding], name, [shown(line) for line in document.lines])


def decoded(data: bytes, name: str) -> str:
    """Return the text of a file.

    Raises:
        ManifestError: If it is no UTF-8.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        place = error.start
    finding = Finding(
        code=NO_TEXT,
        message=f"byte {place + 1} (0x{data[place]:02X}) is not UTF-8",
        do="save the file as UTF-8",
    )
    raise refusal([finding], name, ())


def refusal(findings: Sequence[Finding], name: str, lines: Sequence[str]) -> ManifestError:
    """Return the error that tells all *findings* of the file *name*, at least one."""
    first = findings[0]
    body = "\n".join([_told(first, name, lines), *_others(findings[1:], name, lines)])
    error = manifest_error(first.code, body, do=None)
    error.facts["problems"] = [_fields(one, name) for one in findings]
    return error


def _told(finding: Finding, name: str, lines: Sequence[str]) -> str:
    hint = f" - {finding.do}" if finding.do else ""
    head = f"{finding.place(name)}: {finding.message}{hint}"
    return "\n".join([head, *excerpt(lines, finding.mark)])


def _others(findings: Sequence[Finding], name: str, lines: Sequence[str]) -> list[str]:
    return [f"error[{one.code}]: {_told(one, name, lines)}" for one in findings]


def _fields(finding: Finding, name: str) -> dict[str, Any]:
    mark = finding.mark
    return {
        "code": finding.code,
        "message": finding.message,
        "do": finding.do,
        "path": finding.path,
        "file": name,
        "line": None if mark is None else mark.line,
        "column": None if mark is None else mark.column,
    }


def _changed(document: YamlDocument, changes: Mapping[str, str], name: str) -> YamlDocument:
    """Return the document with values laid over it; what is set so has no place in the file."""
    if not changes:
        return document
    value = copy.deepcopy(document.value)
    keys, values = dict(document.keys), dict(document.values)
    for path, text in changes.items():
        parts = path.split(".")
        _refuse_bad_path(path, parts, name)
        here = value
        for part in parts[:-1]:
            here = here.setdefault(part, {}) if isinstance(here, dict) else None
        if not isinstance(here, dict):
            raise refusal([_cannot_set(path, "something on the way is no mapping")], name, ())
        try:
            here[parts[-1]] = parse_yaml(text, max_bytes=4096).value
        except YamlRefusedError as error:
            raise refusal([_cannot_set(path, error.findings[0].message)], name, ()) from None
        whole = tuple(parts)
        keys = {at: mark for at, mark in keys.items() if at[: len(whole)] != whole}
        values = {at: mark for at, mark in values.items() if at[: len(whole)] != whole}
    return YamlDocument(value=value, lines=document.lines, keys=keys, values=values)


def _refuse_bad_path(path: str, parts: Sequence[str], name: str) -> None:
    if "" in parts:
        raise refusal([_cannot_set(path, "write it as spec.budgets.concurrency=5")], name, ())
    if "inputs" in parts:
        why = "inputs may hold secrets, and everybody on this machine can read a command line"
        raise refusal([_cannot_set(path, why)], name, ())


def _cannot_set(path: str, why: str) -> Finding:
    return Finding(code=CANNOT_SET, message=f"--set {path[:100]}: {why}", path=path[:100])
