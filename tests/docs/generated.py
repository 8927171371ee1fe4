"""The parts of the documentation that are tables in the code, written from the code.

    python -m tests.docs.generated        rewrites the marked parts in place

A test compares the files with what this writes, so the documentation cannot say anything
else than the program does.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from benchmarks import figures, report
from config.describing import settings_reference
from config.events import EVENTS
from jobs.catalogue.entries import RETRY_WORDS, Family, Language
from jobs.catalogue.entries import Entry as Known
from jobs.catalogue.reading import entries
from jobs.causes import CAUSES
from jobs.model import InputsBase
from jobs.outcomes import ROWS
from jobs.report.results import RESULT_KEYS
from jobs.rollout_states import ROLLOUT_TRANSITIONS, WAVE_TRANSITIONS
from jobs.rollouts.fields import duration_text, percent_text
from jobs.rollouts.manifest import Manifest
from jobs.rollouts.recurring import ScheduleManifest
from jobs.schedule_states import TICK_TRANSITIONS, Skipped
from jobs.states import TRANSITIONS, JobState
from worker.api.calls import Route
from worker.api.problems import STATUSES
from worker.api.routes import ROUTES
from worker.cli.catalogue import COMMANDS, EXIT_CODES, Entry

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
_PART: Final = re.compile(r"(<!-- generated: ([a-z-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; a pipe in a cell is escaped."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |\n"
        for line in lines
    )


def decision_table() -> str:
    """Every way in which a send can end, and what follows."""
    return _table(
        ("Row", "Outcome", "What happened", "What follows", "Whose trouble"),
        (
            (str(row.number), f"`{row.outcome}`", row.what, f"**{row.verdict}**", row.trouble.value)
            for row in ROWS
        ),
    )


def state_table(table: Mapping[Any, Mapping[Any, Any]] = TRANSITIONS) -> str:
    """Every state with the moves that lead out of it."""
    return _table(
        ("State", "Leaves it", "To"),
        (
            (
                f"`{state}`",
                ", ".join(f"`{event}`" for event in moves) or "never",
                ", ".join(dict.fromkeys(f"`{to}`" for to in moves.values())) or "final",
            )
            for state, moves in table.items()
        ),
    )


def tick_table() -> str:
    """Every state of a tick, with why one was skipped."""
    reasons = ", ".join(f"`{reason}`" for reason in Skipped)
    return state_table(TICK_TRANSITIONS) + f"\n`skipped` is one of {reasons}.\n"


def cause_table() -> str:
    """Every cause with its class and remedy."""
    return _table(
        ("Cause", "Class", "What it is", "Likely", "Do", "A retry can help"),
        (
            (f"`{one.word}`", one.cause_class, one.title, one.likely, one.do, one.retry)
            for one in CAUSES.values()
        ),
    )


def settings_table() -> str:
    """Every setting."""
    return _table(
        ("Key", "Variable", "Default", "Meaning"),
        (
            (f"`{one.key}`", f"`{one.variable}`", f"`{one.default}`", one.meaning)
            for one in settings_reference()
        ),
    )


def _commands(entries: dict[str, Entry], prefix: str = "plugwave") -> Iterable[Sequence[str]]:
    for name, entry in entries.items():
        if entry.commands is None:
            yield (f"`{prefix} {name}`", entry.help)
        else:
            yield from _commands(dict(entry.commands), f"{prefix} {name}")


def command_table() -> str:
    """Every command."""
    return _table(("Command", "What it does"), _commands(dict(COMMANDS)))


def exit_table() -> str:
    """Every exit code."""
    return _table(
        ("Exit", "Meaning"), ((str(code), meaning) for code, meaning in EXIT_CODES.items())
    )


def event_table() -> str:
    """Every log event."""
    return _table(
        ("Event", "Level", "Meaning"),
        (
            (f"`{name}`", ", ".join(sorted(event.levels)), event.meaning)
            for name, event in EVENTS.items()
        ),
    )


def result_keys() -> str:
    """The keys of the canonical line."""
    keys = " ".join(("ts", "level", "event", *RESULT_KEYS))
    return f"```\n{keys}\n```\n"


def final_states() -> str:
    """The final states in one line."""
    finals = ", ".join(f"`{state}`" for state in JobState if not TRANSITIONS[state])
    return f"Final states: {finals}.\n"


ERROR_HEADS: Final = MappingProxyType(
    {
        Language.EN: ("Code", "HTTP", "What it is", "Likely", "Do", "Retry"),
        Language.ZH: ("错误码", "HTTP", "含义", "可能原因", "处理", "重试"),
    }
)
FAMILY_HEADS: Final = MappingProxyType(
    {
        Family.MODELARTS: ("ModelArts", "ModelArts"),
        Family.GATEWAY: ("API gateway APIG / APIGW / APIC", "API 网关 APIG / APIGW / APIC"),
        Family.CAUSE: ("Causes", "失败原因"),
        Family.REASON: ("Why a plug-in is Abnormal", "插件 Abnormal 的原因"),
        Family.OURS: ("Our own codes", "plugwave 错误码"),
        Family.UNKNOWN: ("Everything else", "其他"),
    }
)


def error_tables(language: Language) -> str:
    """Return the whole catalogue in one language, a table for each family."""
    place = list(Language).index(language)
    return "\n".join(
        f"### {heads[place]}\n\n{_error_table(family, language)}"
        for family, heads in FAMILY_HEADS.items()
    )


def _error_table(family: Family, language: Language) -> str:
    found = [entry for entry in entries() if entry.family is family]
    return _table(ERROR_HEADS[language], (_error_row(entry, language) for entry in found))


def _error_row(entry: Known, language: Language) -> Sequence[str]:
    told = entry.texts[language]
    return (
        " ".join(f"`{name}`" for name in entry.names()),
        ", ".join(str(status) for status in entry.statuses),
        told.title,
        told.likely,
        told.do,
        RETRY_WORDS[language][entry.retry],
    )


def manifest_fields() -> str:
    """Every field of a manifest, by its path; a list's items are one level down."""
    return _table(("Field", "Takes", "Default", "Meaning"), _fields_of(Manifest, ""))


def schedule_fields() -> str:
    """Every field of a schedule's manifest but those of its rollout."""
    rows = _fields_of(ScheduleManifest, "")
    own = [row for row in rows if not row[0].startswith("`spec.rollout.")]
    return _table(("Field", "Takes", "Default", "Meaning"), own)


def _fields_of(model: type[BaseModel], prefix: str) -> Iterable[Sequence[str]]:
    schema = model.model_json_schema()
    for name, field in model.model_fields.items():
        key = field.alias or name
        path = f"{prefix}{key}"
        takes, inner = _takes(schema["properties"][key]), _model_in(field.annotation)
        yield (f"`{path}`", takes, _default(field), field.description or "")
        if inner is not None and not path.endswith("exclude"):  # the same as include
            listed = "[]" if takes.startswith("list") else ""
            yield from _fields_of(inner, f"{path}{listed}.")


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(one) for one in get_args(annotation))
    return next((one for one in found if one is not None), None)


def _takes(schema: dict[str, Any]) -> str:
    """Return what a field takes, in a word or two."""
    if "anyOf" in schema:
        kinds = [_takes(one) for one in schema["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if str(schema.get("$ref", "")).endswith("InputsBase"):
        return " ".join(f"`{base}`" for base in InputsBase)
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`".replace('"', "")
    if "enum" in schema:
        return " ".join(f"`{one}`" for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_takes(schema['items'])}"
    words = {"string": "text", "integer": "number", "number": "number", "boolean": "true or false"}
    return words.get(schema.get("type", ""), "fields")


def _default(field: FieldInfo) -> str:
    """Return the default as a manifest writes it; empty for none."""
    if field.is_required():
        return "preset's" if "preset" in (field.description or "") else "required"
    value = field.get_default(call_default_factory=True)
    if value is None or isinstance(value, BaseModel) or value in ([], {}):
        return ""
    if isinstance(value, Fraction):
        return f"`{percent_text(value)}`"
    if isinstance(value, float) and "duration_text" in repr(field.metadata):
        return f"`{duration_text(value)}`"
    return f"`{json.dumps(value)}`".replace('"', "")


def route_table() -> str:
    """Every route of the HTTP API, and which scopes open it."""
    return _table(
        ("Method", "Path", "What", "Scope"),
        ((one.method, f"`{one.path}`", one.text, _scope_of(one)) for one in ROUTES),
    )


def _scope_of(route: Route) -> str:
    needs = route.needs
    if needs.scope is None:
        return "none"
    own = ", `submit` for one's own" if needs.own else ""
    return f"`{needs.scope}`{own}" + (", not bound to projects" if needs.fleet else "")


def refusal_table() -> str:
    """Every kind of refusal with its status."""
    return _table(
        ("Status", "Code", "Meaning"),
        (
            (str(status), f"`{kind.code}`", (kind.__doc__ or "").strip().split("\n")[0])
            for kind, status in sorted(STATUSES, key=lambda one: (one[1], one[0].code))
        ),
    )


PARTS: Final = MappingProxyType[str, Callable[[], str]](
    {
        "decision-table": decision_table,
        "states": state_table,
        "final-states": final_states,
        "rollout-states": lambda: state_table(ROLLOUT_TRANSITIONS),
        "wave-states": lambda: state_table(WAVE_TRANSITIONS),
        "causes": cause_table,
        "errors-en": lambda: error_tables(Language.EN),
        "errors-zh": lambda: error_tables(Language.ZH),
        "settings": settings_table,
        "commands": command_table,
        "exit-codes": exit_table,
        "log-events": event_table,
        "result-keys": result_keys,
        "manifest-fields": manifest_fields,
        "schedule-fields": schedule_fields,
        "tick-states": tick_table,
        "api-routes": route_table,
        "api-refusals": refusal_table,
        "speed": lambda: report.readme(figures.load()),
    }
)


def rewritten(text: str) -> str:
    """Return *text* with every marked part as the code has it now."""
    return _PART.sub(lambda part: f"{part[1]}{PARTS[part[2]]()}{part[4]}", text)


def main() -> None:
    """Rewrite the documentation in place."""
    for path in sorted([*DOCS.glob("*.md"), DOCS.parent / "README.md"]):
        path.write_text(rewritten(path.read_text()))


if __name__ == "__main__":
    main()
