"""Put the sources together, so that every value's origin is known and every mistake is told.

The order, strongest first, key by key:

1. the command line;
2. ``PLUGWAVE_*`` variables, two underscores nest; an empty one counts as not set;
3. secrets in ``$CREDENTIALS_DIRECTORY``, in files named after their keys;
4. the file of ``--config`` or ``PLUGWAVE_CONFIG``, which must exist;
5. ``plugwave.toml`` in the folder the command is started in;
6. ``config.toml`` in the user's configuration folder;
7. ``/etc/plugwave/config.toml``;
8. for ``cloud.endpoints`` alone, and only without ``cloud.endpoint``: what is set for the
   official SDK (`config.regions`);
9. the default.

A secret and its ``…_file`` key are two ways to say one thing: whichever stands in the
stronger source wins.  An unknown key is an error everywhere, because a limit with a typo
in its name is no limit.  pydantic-settings is not used: it does not tell where a merged
value came from.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import platformdirs
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from config.addresses import store_passwords
from config.keys import KeyPath, all_keys
from config.masking import clean_text
from config.regions import sdk_layer
from config.settings import Settings, default_store_url
from config.sources import (
    Flag,
    Given,
    Layer,
    config_variable,
    credentials_layer,
    default_file_paths,
    environment_layer,
    file_layer,
    flags_layer,
    read_secret,
)
from jobs.errors import ConfigError

SYSTEM_CONFIG: Final = Path("/etc/plugwave")
SYSTEM_STATE: Final = Path("/var/lib/plugwave")

DEFAULT: Final = "default"
"""The origin of a value that nobody gave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The folders that matter; passed in, so that tests have their own.

    Attributes:
        cwd: Where the command was started.
        user_config: The user's configuration folder of this program.
        system_config: The machine's.
        state: Where the default store lies.
    """

    cwd: Path
    user_config: Path
    system_config: Path
    state: Path

    @classmethod
    def of_machine(cls, environ: Mapping[str, str], cwd: Path) -> "Places":
        """Return this machine's folders.

        State: ``$XDG_STATE_HOME/plugwave``; with a home folder the user's state folder as the
        platform has it; with neither, as in a system service, ``/var/lib/plugwave``.
        """
        return cls(
            cwd=cwd,
            user_config=_folder(
                environ.get("XDG_CONFIG_HOME"),
                platformdirs.user_config_path("plugwave") if environ.get("HOME") else SYSTEM_CONFIG,
            ),
            system_config=SYSTEM_CONFIG,
            state=_folder(
                environ.get("XDG_STATE_HOME"),
                platformdirs.user_state_path("plugwave") if environ.get("HOME") else SYSTEM_STATE,
            ),
        )


def _folder(root: str | None, otherwise: Path) -> Path:
    # The XDG specification: a relative path is to be ignored.
    return Path(root) / "plugwave" if root and Path(root).is_absolute() else otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The settings, where each value comes from, and what must never be shown.

    Attributes:
        settings: Valid and complete.
        origins: By key name: an option, a variable, ``FILE:LINE`` or ``default``.
        files: The files that gave at least one value, strongest first.
        secrets: Values for the log's redactor.
    """

    settings: Settings
    origins: Mapping[str, str]
    files: tuple[str, ...]
    secrets: tuple[str, ...] = field(repr=False)


def load(
    *,
    environ: Mapping[str, str],
    places: Places,
    flags: Mapping[str, Flag] = MappingProxyType({}),
    config_file: Path | None = None,
) -> Loaded:
    """Read every source and return the settings.

    Args:
        environ: The environment; nothing else of the process is looked at.
        places: The folders to look in.
        flags: Options of the command line by key name.
        config_file: What ``--config`` names; wins over ``PLUGWAVE_CONFIG``.

    Raises:
        ConfigError: With everything that is wrong, each with its key, place and remedy;
            ``facts["problems"]`` has them as a list.
    """
    layers = [
        flags_layer(flags),
        environment_layer(environ),
        credentials_layer(environ),
        *_file_layers(config_file or config_variable(environ), places),
    ]
    problems = [problem for layer in layers for problem in layer.problems]
    given = _merged(layers, problems)
    _add_sdk_endpoints(given, environ, problems)
    _read_secret_files(given, problems)
    settings = _validated(given, places, problems)
    if settings is None or problems:
        raise _refusal(problems)
    return Loaded(
        settings=settings,
        origins=_origins(given),
        files=_files(layers[3:]),
        secrets=known_secrets(settings),
    )


def known_secrets(settings: Settings) -> tuple[str, ...]:
    """Return every secret value in the settings, for the redactor."""
    token = settings.cloud.token
    tokens = () if token is None else (token.get_secret_value(),)
    return tokens + store_passwords(settings.store.url.get_secret_value())


def _file_layers(named: Path | None, places: Places) -> list[Layer]:
    wanted = [(named, True)] if named is not None else []
    unasked = default_file_paths(places.cwd, places.user_config, places.system_config)
    wanted += [(path, False) for path in unasked]
    layers: dict[Path, Layer] = {}
    for path, must_exist in wanted:
        # Naming ./plugwave.toml outright must not report each of its mistakes twice.
        if path.absolute() not in layers:
            layers[path.absolute()] = file_layer(path, must_exist=must_exist)
    return list(layers.values())


def _merged(layers: Iterable[Layer], problems: list[str]) -> dict[KeyPath, Given]:
    """Return the strongest value for each key; a secret and its file are one key here."""
    merged: dict[KeyPath, Given] = {}
    for layer in layers:
        decided = {_base(path) for path in merged}
        for path, one in layer.given.items():
            if _base(path) in decided:
                continue
            merged[path] = one
            twin = (*path[:-1], f"{path[-1]}_file")
            if twin in layer.given:
                names = f"{'.'.join(path)} and {'.'.join(twin)}"
                problems.append(f"{names} are both set ({one.origin}); keep one of them")
    return merged


def _add_sdk_endpoints(
    given: dict[KeyPath, Given], environ: Mapping[str, str], problems: list[str]
) -> None:
    """Add the endpoints that are set for the SDK, for regions that have none of ours."""
    if ("cloud", "endpoint") in given:
        return
    layer = sdk_layer(environ)
    problems += layer.problems
    for path, one in layer.given.items():
        given.setdefault(path, one)


def _base(path: KeyPath) -> KeyPath:
    """Return the secret that a ``…_file`` key stands for, any other key as it is."""
    key = (*path[:-1], path[-1].removesuffix("_file"))
    secret = all_keys().get(key)
    return key if secret is not None and secret.secret else path


def _read_secret_files(given: dict[KeyPath, Given], problems: list[str]) -> None:
    for path, one in list(given.items()):
        secret = _base(path)
        if secret == path or secret in given or not isinstance(one.value, str | Path):
            continue
        text = read_secret(Path(one.value).expanduser(), one.origin, problems)
        if text is not None:
            given[secret] = Given(text, f"{one.origin} ({'.'.join(path)})")


def _validated(
    given: Mapping[KeyPath, Given], places: Places, problems: list[str]
) -> Settings | None:
    tree: dict[str, Any] = {"store": {"url": default_store_url(places.state)}}
    for path, one in given.items():
        branch = tree
        for part in path[:-1]:
            branch = branch.setdefault(part, {})
            if not isinstance(branch, dict):
                break  # a value where a table belongs; pydantic says so below
        else:
            branch[path[-1]] = one.value
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        problems += [_problem(detail, given) for detail in details]
        return None


def _problem(detail: ErrorDetails, given: Mapping[KeyPath, Given]) -> str:
    """Return one line that says where, which key, and what to do; never the value."""
    path = tuple(str(part) for part in detail["loc"] if part != "[key]")
    text = clean_text(detail["msg"].removeprefix("Value error, "))
    text = (text[:1].lower() + text[1:]).replace("input should be", "must be")
    one = given.get(path) or given.get(path[:2])
    if one is not None:
        # No "NAME: word" or "NAME=word": commands mask what follows a secret-looking name.
        return f"{'.'.join(path)} ({one.origin}): {text}"
    # A rule about several keys: its text names them, so name their places.
    places = [f"{'.'.join(key)} is from {it.origin}" for key, it in given.items() if _in(key, text)]
    return f"{text} ({'; '.join(places)})" if places else text


def _in(path: KeyPath, text: str) -> bool:
    return ".".join(path) in text.replace(",", " ").replace(";", " ").split()


def _refusal(problems: list[str]) -> ConfigError:
    many = f"{len(problems)} settings cannot be used: " if len(problems) > 1 else ""
    return ConfigError(many + "; ".join(problems), problems=problems)


def _origins(given: Mapping[KeyPath, Given]) -> Mapping[str, str]:
    origins = {key.name: DEFAULT for key in all_keys().values()}
    origins |= {".".join(path): one.origin for path, one in given.items()}
    return MappingProxyType(origins)


def _files(layers: Iterable[Layer]) -> tuple[str, ...]:
    places = [one.origin.rsplit(":", 1)[0] for layer in layers for one in layer.given.values()]
    return tuple(dict.fromkeys(places))
