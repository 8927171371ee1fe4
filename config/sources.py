"""Where settings come from: command line, environment, credentials folder, files.

Each source becomes a layer, a flat mapping from key to value with the value's origin, plus
the problems that were met; merging the layers is `config.loading`'s duty.  A value is
never part of a problem's text, only its key and its place are.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from config.keys import (
    OTHER_VARIABLES,
    PREFIX,
    PROFILE_KEY,
    PROFILE_VARIABLE,
    KeyPath,
    all_keys,
    find_key,
    path_of_variable,
    suggestion,
)
from config.masking import clean_text
from config.profiles import PROFILES
from config.settings import sections

FILE_LIMIT_BYTES: Final = 1_048_576
"""A settings file is a page; more is somebody's mistake (a database, a log)."""

SECRET_LIMIT_BYTES: Final = 65_536
"""The longest tokens are some 20 KiB."""


@dataclass(frozen=True, slots=True)
class Given:
    """One value and where it was given; the value stays out of `repr`."""

    value: object = field(repr=False)
    origin: str


@dataclass(slots=True)
class Layer:
    """What one source gives, and what is wrong with it."""

    given: dict[KeyPath, Given] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Flag:
    """A command-line option that sets a key; *option* is how people write it, as ``--slots``."""

    option: str
    value: object = field(repr=False)


def flags_layer(flags: Mapping[str, Flag]) -> Layer:
    """Return what the command line gives, by key name; options that were not given are None.

    Raises:
        KeyError: If a command names a key that does not exist, which is a bug in it.
    """
    layer = Layer()
    for name, flag in flags.items():
        path = tuple(name.split("."))
        if find_key(path) is None:
            raise KeyError(name)
        if flag.value is not None:
            layer.given[path] = Given(flag.value, flag.option)
    return layer


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """Return what ``PLUGWAVE_*`` variables give.

    An empty variable counts as not set: compose files and CI systems pass empty ones on for
    what they do not know.
    """
    layer = Layer()
    selected = environ.get(PROFILE_VARIABLE)
    if selected:
        layer.given[PROFILE_KEY] = Given(selected, PROFILE_VARIABLE)
    known = [key.variable for key in all_keys().values()] + sorted(OTHER_VARIABLES)
    for variable, value in sorted(environ.items()):
        if not variable.startswith(PREFIX) or variable in OTHER_VARIABLES:
            continue
        path = path_of_variable(variable)
        if path is None:
            shown = clean_text(variable, 100)
            layer.problems.append(f"unknown variable {shown}{suggestion(shown, known)}")
        elif value and path == PROFILE_KEY and selected not in {None, "", value}:
            names = f"{PROFILE_VARIABLE} and {variable}"
            layer.problems.append(f"{names} name two profiles; keep one of them")
        elif value:
            layer.given.setdefault(path, Given(value, variable))
    return layer


def credentials_layer(environ: Mapping[str, str]) -> Layer:
    """Return the secrets in ``$CREDENTIALS_DIRECTORY``, where systemd puts them by key name."""
    layer = Layer()
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return layer
    for key in all_keys().values():
        path = Path(folder) / key.name
        if key.secret and path.is_file():
            origin = f"$CREDENTIALS_DIRECTORY/{key.name}"
            text = read_secret(path, origin, layer.problems)
            if text is not None:
                layer.given[key.path] = Given(text, origin)
    return layer


def read_secret(path: Path, origin: str, problems: list[str]) -> str | None:
    """Return the secret in the file without the line break at its end; note why not, else."""
    try:
        with path.open("rb") as file:
            content = file.read(SECRET_LIMIT_BYTES + 1)
    except OSError as error:
        problems.append(f"cannot read {path} ({origin}): {_reason(error)}")
        return None
    text = content.decode(errors="replace").rstrip("\r\n")
    if not text or "\ufffd" in text or len(content) > SECRET_LIMIT_BYTES:
        problems.append(f"{path} does not hold one line of text ({origin})")
        return None
    return text


def file_layer(path: Path, *, must_exist: bool) -> Layer:
    """Return what the TOML file gives; a file that need not exist may be missing."""
    layer = Layer()
    try:
        with path.open("rb") as file:
            content = file.read(FILE_LIMIT_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        if must_exist:
            layer.problems.append(f"{path}: {_reason(error)}")
        return layer
    except OSError as error:
        # Going on without it could mean going on without its limits.
        layer.problems.append(f"{path}: cannot read it: {_reason(error)}")
        return layer
    if len(content) > FILE_LIMIT_BYTES:
        layer.problems.append(f"{path}: more than 1 MiB; this is no settings file")
        return layer
    try:
        text = content.decode()
        tables = tomllib.loads(text)
    except UnicodeDecodeError:
        layer.problems.append(f"{path}: not UTF-8 text")
    except tomllib.TOMLDecodeError as error:
        layer.problems.append(f"{path}: not TOML: {clean_text(str(error))}")
    else:
        _read_tables(layer, path, tables, key_lines(text))
    return layer


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


def _read_tables(
    layer: Layer, path: Path, tables: Mapping[str, Any], lines: Mapping[KeyPath, int]
) -> None:
    names = [*sections(), PROFILES]
    known = [key.name for key in all_keys().values()]
    for section, table in tables.items():
        if section not in names:
            hint = suggestion(section, names) or suggestion(section, known)
            kind = "section" if isinstance(table, dict) else "key"
            shown = clean_text(section, 100)
            layer.problems.append(
                f"{_place(path, (section,), lines)}: unknown {kind} {shown!r}{hint}"
            )
        elif not isinstance(table, dict):
            place = _place(path, (section,), lines)
            layer.problems.append(f"{place}: {section!r} is a section; write [{section}]")
        else:
            for keys, value in _leaves((section,), table):
                place = _place(path, keys, lines)
                if find_key(keys) is None:
                    name = clean_text(".".join(keys), 100)
                    layer.problems.append(f"{place}: unknown key {name!r}{suggestion(name, known)}")
                else:
                    layer.given[keys] = Given(value, place)


def _leaves(above: KeyPath, table: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Any]]:
    for name, value in table.items():
        keys = (*above, name)
        key = find_key(keys)
        if isinstance(value, dict) and (key is None or (key.keyed and key.path == keys)):
            # An empty unknown table is as wrong as a full one.
            yield from _leaves(keys, value) if value else [(keys, value)] if key is None else []
        else:
            yield keys, value


def _place(path: Path, keys: KeyPath, lines: Mapping[KeyPath, int]) -> str:
    for size in range(len(keys), 0, -1):
        line = lines.get(keys[:size])
        if line is not None:
            return f"{path}:{line}"
    return str(path)


_PART: Final = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_HEADER: Final = re.compile(rf"\s*\[\s*({_PART}(?:\s*\.\s*{_PART})*)\s*\]")
_PAIR: Final = re.compile(rf"\s*({_PART}(?:\s*\.\s*{_PART})*)\s*=")
_PARTS: Final = re.compile(_PART)


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, counting from 1, at which each key and table header of a TOML text stands.

    `tomllib` tells no positions.  This looks only at how lines begin, which is enough for
    texts that are known to be valid; inside strings of several lines it looks at nothing.
    """
    found: dict[KeyPath, int] = {}
    table: KeyPath = ()
    closing: str | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        if closing is not None:
            closing = None if closing in line else closing
            continue
        header, pair = _HEADER.match(line), _PAIR.match(line)
        if header:
            table = _split(header[1])
            found.setdefault(table, number)
        elif pair:
            found.setdefault(table + _split(pair[1]), number)
        closing = next((mark for mark in ('"""', "'''") if line.count(mark) % 2), None)
    return found


def _split(dotted: str) -> KeyPath:
    return tuple(part.strip("\"'") for part in _PARTS.findall(dotted))


def default_file_paths(cwd: Path, user: Path, system: Path) -> list[Path]:
    """Return the files that are looked for unasked, strongest first."""
    return [cwd / "plugwave.toml", user / "config.toml", system / "config.toml"]


def config_variable(environ: Mapping[str, str]) -> Path | None:
    """Return the file that ``PLUGWAVE_CONFIG`` names, None without one."""
    named = environ.get("PLUGWAVE_CONFIG")
    return Path(os.path.expanduser(named)) if named else None  # noqa: PTH111 - a str comes in
