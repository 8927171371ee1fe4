"""A fleet file: the pools of a rollout as a list in YAML, CSV or JSON lines.

Each entry has ``project_id`` and ``pool_name``, and may have ``region`` and ``labels``.
In CSV a label has a column of its own, ``labels.ring``.  Labels of the file win over the
cloud's, so that rings can be kept beside the manifest.
"""

import csv
import io
from collections.abc import Iterator
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, ValidationError

from jobs.model import Target
from jobs.requests.strictjson import JsonError, loads
from jobs.rollouts.fields import Closed, PoolName, ProjectId, RegionName
from jobs.rollouts.findings import findings_of
from jobs.rollouts.marks import Finding, Mark
from jobs.rollouts.reading import decoded, refusal
from jobs.rollouts.shape import Labels
from jobs.rollouts.yamltext import YamlDocument, YamlRefusedError, parse_yaml

MAX_BYTES: Final = 8 * 1024 * 1024
MAX_POOLS: Final = 100_000
CODE: Final = "MAN-10"
_LABEL: Final = "labels."


class FleetRow(Closed):
    """One pool of a fleet file."""

    model_config = ConfigDict(alias_generator=None)

    project_id: ProjectId
    """The project the pool belongs to."""

    pool_name: PoolName
    """The pool's id."""

    region: RegionName | None = None
    """Its region; any without it."""

    labels: Labels = Field(default_factory=dict)
    """Labels that are laid over the cloud's."""

    @property
    def target(self) -> Target:
        """The pool as the cloud addresses it."""
        return Target(project_id=self.project_id, pool_name=self.pool_name, region=self.region)


class FleetList(Closed):
    """A fleet file in YAML with a head."""

    pools: Annotated[list[FleetRow], Field(max_length=MAX_POOLS)]
    """The pools."""


def read_fleet(data: bytes, name: str) -> list[FleetRow]:
    """Return the pools of a fleet file; its form is told by the end of its name.

    Raises:
        ManifestError: If a line of it is not acceptable, or a pool is there twice.
    """
    if len(data) > MAX_BYTES:
        message = f"the file has {len(data):,} bytes; at most {MAX_BYTES:,} are read"
        raise refusal([Finding(code=CODE, message=message)], name, ())
    text = decoded(data, name).removeprefix("\ufeff")
    lines = tuple(text.splitlines())
    ending = name.rpartition(".")[2].lower()
    if ending in {"jsonl", "ndjson"}:
        rows = _checked(_json_lines(data, name), name, lines)
    elif ending == "csv":
        rows = _checked(_csv_lines(text), name, lines)
    else:
        rows = _from_yaml(text, name)
    _refuse_twice(rows, name, lines)
    return [row for _, row in rows]


def _checked(
    entries: Iterator[tuple[int, Any]], name: str, lines: tuple[str, ...]
) -> list[tuple[int, FleetRow]]:
    rows, found = [], []
    for line, entry in entries:
        place = Mark(line, 1, max(1, len(lines[line - 1]) if line <= len(lines) else 1))
        document = YamlDocument(value=entry, values={(): place})
        try:
            rows.append((line, FleetRow.model_validate(entry)))
        except ValidationError as error:
            found += [_ours(one) for one in findings_of(error, document, FleetRow)]
        if len(found) >= 50:
            break
    if found:
        raise refusal(found, name, lines)
    return rows


def _ours(finding: Finding) -> Finding:
    return Finding(
        code=CODE,
        message=finding.message,
        do=finding.do,
        path=finding.path,
        mark=finding.mark,
    )


def _json_lines(data: bytes, name: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            yield number, loads(line)
        except JsonError as error:
            finding = Finding(code=CODE, message=str(error), mark=Mark(number, 1))
            raise refusal([finding], name, ()) from None


def _csv_lines(text: str) -> Iterator[tuple[int, Any]]:
    reader = csv.reader(io.StringIO(text))
    heads: list[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield line, f"line {line}"
            return
        if heads is None:
            heads = [cell.strip() for cell in cells]
        elif any(cell.strip() for cell in cells):
            yield line, _csv_entry(heads, cells)


def _csv_entry(heads: list[str], cells: list[str]) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    labels: dict[str, str] = {}
    for place, cell in enumerate(cells):
        head = heads[place] if place < len(heads) else f"column {place + 1}"
        if not cell.strip():
            continue
        if head.startswith(_LABEL):
            labels[head.removeprefix(_LABEL)] = cell.strip()
        else:
            entry[head] = cell.strip()
    return {**entry, "labels": labels} if labels else entry


def _from_yaml(text: str, name: str) -> list[tuple[int, FleetRow]]:
    try:
        document = parse_yaml(text, max_bytes=MAX_BYTES, max_nodes=1_000_000)
    except YamlRefusedError as error:
        raise refusal(error.findings, name, error.lines) from None
    value = document.value
    head = isinstance(value, dict)
    listed = value if head else {"pools": value}
    moved = document
    if not head:
        keys = {("pools", *path): mark for path, mark in document.keys.items()}
        values = {("pools", *path): mark for path, mark in document.values.items()}
        moved = YamlDocument(value=listed, lines=document.lines, keys=keys, values=values)
    try:
        rows = FleetList.model_validate(listed).pools
    except ValidationError as error:
        found = findings_of(error, moved, FleetList)
    else:
        marks = [moved.mark(("pools", place)) for place in range(len(rows))]
        return [(mark.line if mark else 1, row) for mark, row in zip(marks, rows, strict=True)]
    raise refusal([_ours(one) for one in found], name, document.lines)


def _refuse_twice(rows: list[tuple[int, FleetRow]], name: str, lines: tuple[str, ...]) -> None:
    first: dict[Target, int] = {}
    found = []
    for line, row in rows:
        before = first.setdefault(row.target, line)
        if before != line:
            message = f"the pool of line {before} is there again"
            found.append(Finding(code=CODE, message=message, mark=Mark(line, 1)))
    if found:
        raise refusal(found[:50], name, lines)
