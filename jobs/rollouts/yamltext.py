"""YAML 1.2 as we accept it: plain values, and where each of them stands.

The text becomes events (ruamel.yaml), and the events become values here, by the core
schema of YAML 1.2: ``on`` and ``22:00`` are texts, ``1.10`` is the number 1.1.  Every key
and value keeps its place, and a plain scalar its spelling, so that a message can quote it.

Refused, besides broken syntax: duplicate keys, keys that are no texts, merge keys, tags
beyond those of JSON, NaN and infinity, integers beyond 64 bits, more than one document.
Events are taken one by one under limits of depth, number and aliases, so that no text is
expensive: an alias counts as often as what it stands for.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from jobs.requests import quoted
from jobs.rollouts.marks import Finding, Mark, Path, dotted
from jobs.rollouts.scalars import Refused, kind_of, plain

SYNTAX: Final = "MAN-02"
DUPLICATE: Final = "MAN-03"
TOO_MUCH: Final = "MAN-04"
WRONG_VALUE: Final = "MAN-06"

MAX_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 32
MAX_NODES: Final = 50_000
MAX_ALIASES: Final = 100
MAX_FINDINGS: Final = 50
MAX_JUMP: Final = 200  # opening brackets in a row; ruamel.yaml takes quadratic time for them

_TAG: Final = "tag:yaml.org,2002:"
_BRACKETS: Final = re.compile(rf"(?:[\[{{]\s*){{{MAX_JUMP}}}")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlDocument:
    """The one value of a text; *keys* and *values* tell where each path's key and value stand."""

    value: Any
    lines: tuple[str, ...] = ()
    keys: dict[Path, Mark] = field(default_factory=dict)
    values: dict[Path, Mark] = field(default_factory=dict)

    def mark(self, path: Path, *, key: bool = False) -> Mark | None:
        """Return where *path* stands, or the nearest thing around it that stands somewhere."""
        for first, second in ((self.keys, self.values),):
            marks = (first, second) if key else (second, first)
            for length in range(len(path), -1, -1):
                found = marks[0].get(path[:length]) or marks[1].get(path[:length])
                if found is not None:
                    return found
                marks = (self.keys, self.values)  # of what is around, the key says more
        return None


class YamlRefusedError(Exception):
    """The text cannot be taken; *findings* tell all that was found until then."""

    def __init__(self, findings: list[Finding], lines: tuple[str, ...] = ()) -> None:
        super().__init__(findings[0].message)
        self.findings = findings
        self.lines = lines


def parse_yaml(
    text: str, *, max_bytes: int = MAX_BYTES, max_nodes: int = MAX_NODES
) -> YamlDocument:
    """Return the value of a YAML text with the place of everything in it.

    Raises:
        YamlRefusedError: If it is not acceptable; never anything else.
    """
    lines = tuple(text.removeprefix("\ufeff").splitlines())
    found = _before_parsing(text, max_bytes)
    if found is not None:
        raise YamlRefusedError([found], lines)
    reader = _Reader(max_nodes)
    try:
        value = reader.document(YAML(typ="safe", pure=True).parse(text.removeprefix("\ufeff")))
    except _StoppedError as stopped:
        raise YamlRefusedError([*reader.findings, stopped.finding], lines) from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise YamlRefusedError([*reader.findings, _syntax(error, lines)], lines) from None
    if reader.findings:
        raise YamlRefusedError(reader.findings, lines)
    return YamlDocument(value=value, lines=lines, keys=reader.keys, values=reader.values)


def _before_parsing(text: str, max_bytes: int) -> Finding | None:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > max_bytes:
        message = f"the file has {size:,} bytes; at most {max_bytes:,} are read"
        return Finding(code=TOO_MUCH, message=message, do="split it, or name pools by labels")
    brackets = _BRACKETS.search(text)
    if brackets is not None:
        line = text.count("\n", 0, brackets.start()) + 1
        column = brackets.start() - text.rfind("\n", 0, brackets.start())
        message = f"more than {MAX_JUMP} lists or mappings are opened in a row"
        return Finding(code=TOO_MUCH, message=message, mark=Mark(line, column))
    return None


def _syntax(error: Exception, lines: tuple[str, ...]) -> Finding:
    """Return ruamel's complaint in one line, with its place."""
    if isinstance(error, ReaderError):
        seen = "\n".join(lines)[: error.position] if isinstance(error.position, int) else ""
        mark = Mark(seen.count("\n") + 1, len(seen) - (seen.rfind("\n") + 1) + 1)
        message = "the file holds a character that YAML does not allow"
        return Finding(code=SYNTAX, message=message, mark=mark)
    if not isinstance(error, MarkedYAMLError):
        message = "the file is no YAML: an escape in it names no character"
        return Finding(code=SYNTAX, message=message)
    place = error.problem_mark or error.context_mark
    where = None if place is None else Mark(place.line + 1, place.column + 1)
    said = (error.problem or error.context or "it cannot be read").strip()
    tab = "\\t" in said
    message = "a tab stands where YAML wants spaces" if tab else f"this is no YAML: {said}"
    do = "indent with spaces" if tab else _advice(said)
    return Finding(code=SYNTAX, message=message, do=do, mark=where)


def _advice(said: str) -> str | None:
    if "mapping values are not allowed" in said:
        return "put a text that holds ': ' in quotes, and check the indentation"
    if "cannot start any token" in said:
        return "put the text in quotes"
    return None


class _StoppedError(Exception):
    """There is no sense in reading on."""

    def __init__(self, code: str, message: str, mark: Mark | None, do: str | None = None) -> None:
        super().__init__(message)
        self.finding = Finding(code=code, message=message, do=do, mark=mark)


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet; *key* waits for its value."""

    value: Any
    path: Path
    anchor: str | None
    nodes_before: int
    key: str | None = None
    has_key: bool = False
    count: int = 0


class _Reader:
    """Builds the value from the events, without recursion."""

    def __init__(self, max_nodes: int) -> None:
        self.keys: dict[Path, Mark] = {}
        self.values: dict[Path, Mark] = {}
        self.findings: list[Finding] = []
        self._max_nodes = max_nodes
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._aliases = 0
        self._nodes = 0
        self._documents = 0
        self._result: Any = None

    def document(self, events: Iterator[Event]) -> Any:  # noqa: ANN401 - any JSON value
        """Return the value of the one document."""
        for event in events:
            match event:
                case DocumentStartEvent():
                    self._document_starts(event)
                case AliasEvent():
                    self._alias(event)
                case ScalarEvent():
                    self._scalar(event)
                case MappingStartEvent() | SequenceStartEvent():
                    self._opens(event)
                case MappingEndEvent() | SequenceEndEvent():
                    self._closes()
                case _:
                    pass
            if len(self.findings) >= MAX_FINDINGS:
                raise _StoppedError(TOO_MUCH, "more problems follow", _mark(event))
        return self._result

    def _document_starts(self, event: DocumentStartEvent) -> None:
        self._documents += 1
        if self._documents > 1:
            message = "a second document begins here; a file has one"
            raise _StoppedError(SYNTAX, message, _mark(event), "make it a file of its own")
        if event.version not in {None, (1, 2)}:
            message = "the file says it is another YAML than 1.2"
            raise _StoppedError(SYNTAX, message, _mark(event), "take the %YAML line out")

    def _alias(self, event: AliasEvent) -> None:
        self._aliases += 1
        mark = _mark(event)
        if self._aliases > MAX_ALIASES:
            raise _StoppedError(TOO_MUCH, f"there are more than {MAX_ALIASES} aliases", mark)
        known = self._anchors.get(str(event.anchor))
        if known is None:
            message = f"alias {quoted(str(event.anchor))} stands for nothing that came before"
            raise _StoppedError(SYNTAX, message, mark)
        value, nodes = known
        self._count(nodes, mark)
        self._place(value, mark)

    def _count(self, nodes: int, mark: Mark) -> None:
        self._nodes += nodes
        if self._nodes > self._max_nodes:
            message = f"there are more than {self._max_nodes:,} values, aliases counted in full"
            raise _StoppedError(TOO_MUCH, message, mark)

    def _scalar(self, event: ScalarEvent) -> None:
        mark = _mark(event)
        self._count(1, mark)
        if self._expects_key():
            self._key(event, mark)
            return
        value = self._resolved(event, mark)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1)
        self._place(value, mark)

    def _resolved(self, event: ScalarEvent, mark: Mark) -> Any:  # noqa: ANN401 - any JSON scalar
        text: str = event.value
        kind = self._kind(event, mark)
        if _SURROGATE.search(text):
            self._wrong(SYNTAX, "a text holds half of a surrogate pair", mark)
            return ""
        if kind == "str" or (kind is None and not event.implicit[0]):
            return text
        value = plain(text)
        if isinstance(value, Refused):
            self._wrong(WRONG_VALUE, value.why, mark, 'put it in quotes if a text is meant: "…"')
            return text
        if kind not in {None, kind_of(value)}:
            self._wrong(WRONG_VALUE, f"the value is not what its tag !!{kind} says", mark)
        return value

    def _kind(
        self, event: ScalarEvent | MappingStartEvent | SequenceStartEvent, mark: Mark
    ) -> str | None:
        """Return the kind that an explicit tag names, None without one."""
        tag = None if event.tag is None else str(event.tag)
        if tag is None or tag == "!":
            return None if tag is None else "str"
        kind = tag.removeprefix(_TAG)
        if tag.startswith(_TAG) and kind in {"str", "int", "float", "bool", "null", "map", "seq"}:
            return kind
        self._wrong(WRONG_VALUE, f"the tag {quoted(tag)} means nothing here", mark, "take it out")
        return "str"

    def _key(self, event: ScalarEvent, mark: Mark) -> None:
        here = self._open[-1]
        is_plain = event.tag is None and event.implicit[0]
        if is_plain and event.value == "<<":
            do = "write the fields out; aliases of whole values are fine"
            self._wrong(SYNTAX, "YAML 1.2 has no merge key '<<'", mark, do)
        elif is_plain and not isinstance(plain(event.value), str):
            quoted_key = f'put it in quotes: "{event.value[:40]}"' if event.value else None
            shown = quoted(event.value)
            self._wrong(
                SYNTAX, f"the key {shown} is read as another thing than a text", mark, quoted_key
            )
        path = (*here.path, event.value)
        if event.value in here.value:
            first = self.keys.get(path)
            where = "" if first is None else f"; the first is in line {first.line}"
            self._wrong(DUPLICATE, f"the key {quoted(event.value)} is there twice{where}", mark)
        else:
            self.keys[path] = mark
        here.key, here.has_key = event.value, True

    def _opens(self, event: MappingStartEvent | SequenceStartEvent) -> None:
        mark = _mark(event, length=1)
        if self._expects_key():
            raise _StoppedError(SYNTAX, "a key must be a text", mark)
        if len(self._open) >= MAX_DEPTH:
            message = f"more than {MAX_DEPTH} lists and mappings stand inside each other"
            raise _StoppedError(TOO_MUCH, message, mark)
        self._kind(event, mark)
        self._count(1, mark)
        path = self._next_path()
        self.values.setdefault(path, mark)
        value: Any = {} if isinstance(event, MappingStartEvent) else []
        self._open.append(
            _Open(value=value, path=path, anchor=event.anchor, nodes_before=self._nodes - 1)
        )

    def _closes(self) -> None:
        closed = self._open.pop()
        if closed.anchor is not None:
            self._anchors[closed.anchor] = (closed.value, self._nodes - closed.nodes_before)
        self._put(closed.value)

    def _expects_key(self) -> bool:
        return (
            bool(self._open)
            and isinstance(self._open[-1].value, dict)
            and (not self._open[-1].has_key)
        )

    def _next_path(self) -> Path:
        if not self._open:
            return ()
        here = self._open[-1]
        return (*here.path, here.key if isinstance(here.value, dict) else here.count)  # type: ignore[arg-type] # a key is there when a value comes

    def _place(self, value: Any, mark: Mark) -> None:  # noqa: ANN401 - any JSON value
        if self._expects_key():
            raise _StoppedError(SYNTAX, "a key must be written out", mark)
        path = self._next_path()
        # An empty value stands nowhere; ruamel says where the next thing begins.
        empty = value is None and not mark.raw
        self.values.setdefault(path, self.keys.get(path, mark) if empty else mark)
        self._put(value)

    def _put(self, value: Any) -> None:  # noqa: ANN401 - any JSON value
        if not self._open:
            self._result = value
            return
        here = self._open[-1]
        if isinstance(here.value, dict):
            here.value.setdefault(here.key, value)
            here.key, here.has_key = None, False
        else:
            here.value.append(value)
            here.count += 1

    def _wrong(self, code: str, message: str, mark: Mark, do: str | None = None) -> None:
        path = dotted(self._open[-1].path) if self._open else ""
        self.findings.append(Finding(code=code, message=message, do=do, path=path, mark=mark))


def _mark(event: Event, length: int | None = None) -> Mark:
    start, end = event.start_mark, event.end_mark
    if start is None:
        return Mark(1, 1)
    if length is None:
        same = end is not None and end.line == start.line
        length = max(1, end.column - start.column) if same else 1
    is_plain = isinstance(event, ScalarEvent) and event.implicit[0]
    raw = event.value[:60] if isinstance(event, ScalarEvent) and is_plain else ""
    return Mark(start.line + 1, start.column + 1, length, raw)
