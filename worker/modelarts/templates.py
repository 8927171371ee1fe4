"""What may be installed on a pool: plug-in templates, their versions and default inputs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from jobs.model import Inputs
from worker.modelarts.faults import UnreadableError
from worker.modelarts.reading import Document, child, created, items, line, name_in

DEFAULT_MARKS: Final = frozenset({"is_default", "isDefault"})
"""Keys that mark the default flavor; they belong to the template, not to an instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateVersion:
    """One version on offer.

    ``default_inputs`` is shaped as an instance's inputs are: ``custom`` and ``flavor``.  It is
    None when the template tells none.
    """

    version: str
    created_at: str | None = None
    default_inputs: Inputs | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginTemplate:
    """One template; *versions* are newest first."""

    name: str
    kind: str | None = None
    versions: tuple[TemplateVersion, ...] = ()


def read_templates(answer: Document) -> tuple[PluginTemplate, ...]:
    """Return the templates of a list, in the order of the answer.

    Raises:
        UnreadableError: If it is no list or one of its items cannot be read.
    """
    return tuple(read_template(entry) for entry in items(answer))


def read_template(entry: Document) -> PluginTemplate:
    """Return one template; a driver's has its versions in the spec or beside it.

    Raises:
        UnreadableError: If it names none, or a part of it has the wrong shape.
    """
    name = name_in(child(entry, "metadata"), "metadata")
    spec = child(entry, "spec")
    versions = spec.get("versions", entry.get("versions"))
    return PluginTemplate(
        name=name, kind=line(spec, "type", 64), versions=newest_first(_versions(versions))
    )


def _versions(found: object) -> list[TemplateVersion]:
    """Read ``versions``: a list, or (driver templates) an object keyed by version."""
    if found is None:
        return []
    if type(found) is dict:
        found = [
            {"version": version, **(one if type(one) is dict else {})}
            for version, one in found.items()
        ]
    if type(found) is not list:
        raise UnreadableError("versions is not a list")
    return [_version(one) for one in found]


def _version(one: object) -> TemplateVersion:
    if type(one) is not dict:
        raise UnreadableError("a version is not an object")
    version = one.get("version")
    if type(version) is not str or not version:
        raise UnreadableError("a version has no name")
    return TemplateVersion(
        version=version, created_at=created(one), default_inputs=default_inputs(one.get("inputs"))
    )


def newest_first(versions: Sequence[TemplateVersion]) -> tuple[TemplateVersion, ...]:
    """Return *versions* by descending creation instant, or as given if one does not tell its own.

    Versions are free text, so their names say nothing about their order.
    """
    dated = [(_instant(one.created_at), place, one) for place, one in enumerate(versions)]
    if any(instant is None for instant, _, _ in dated):
        return tuple(versions)
    # The place breaks ties in the order given; it also keeps the comparison off the versions.
    dated.sort(key=lambda row: (-(row[0] or 0.0), row[1]))
    return tuple(one for _, _, one in dated)


def _instant(text: str | None) -> float | None:
    """Return the seconds since 1970 that an RFC 3339 text names, or None."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def default_inputs(inputs: object) -> Inputs | None:
    """Return a template's defaults in the shape of an instance's inputs.

    The template has ``parameters.{custom, flavor1, flavor2, …}``, an instance has ``custom``
    and ``flavor``: the default is the flavor that is marked so.

    Source: cloud API notes, section 1.6.
    """
    parameters = inputs.get("parameters") if type(inputs) is dict else None
    if type(parameters) is not dict:
        return None
    defaults: dict[str, Any] = {}
    if type(parameters.get("custom")) is dict:
        defaults["custom"] = parameters["custom"]
    for name, flavor in parameters.items():
        if name.startswith("flavor") and type(flavor) is dict and _is_default(flavor):
            defaults["flavor"] = {
                key: value for key, value in flavor.items() if key not in DEFAULT_MARKS
            }
            break
    return defaults or None


def _is_default(flavor: Document) -> bool:
    return any(flavor.get(mark) is True or flavor.get(mark) == "true" for mark in DEFAULT_MARKS)
