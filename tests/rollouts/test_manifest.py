"""A manifest: what a person writes, and everything that is wrong with it at once."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from jobs.errors import ManifestError
from jobs.rollouts.manifest import PRESETS, expanded, manifest_schema
from jobs.rollouts.reading import read_document, read_manifest
from jobs.rollouts.recurring import ScheduleManifest
from tests.rollouts.building import FULL, a_manifest

SMALL = """\
apiVersion: plugwave/v1
kind: Rollout
metadata: {name: small}
spec:
  plugin: {name: volcano, version: "1.15.8"}
"""


def problems(text: str | bytes, changes: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """Return what is wrong with a manifest."""
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(ManifestError) as caught:
        read_manifest(data, "r.yaml", changes)
    found: Any = caught.value.facts["problems"]
    return list(found)


EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted([*EXAMPLES.glob("*.rollout.yaml"), *EXAMPLES.glob("*.schedule.yaml")])


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_every_example_is_acceptable(file: Path) -> None:
    """What is shown as an example can be used as it stands."""
    found = read_document(file.read_bytes(), file.name)

    assert isinstance(found, ScheduleManifest) == file.name.endswith(".schedule.yaml")


def test_every_field_can_be_written() -> None:
    """The manifest that uses everything is read, and its numbers are what they say."""
    spec = read_manifest(FULL.encode(), "r.yaml").spec

    assert spec.plugin.version == "1.6.63"
    assert spec.plugin.inputs.merge == {"custom": {"ndots": "5"}}
    assert [wave.name for wave in spec.waves] == ["canary", "early", "broad", "rest"]
    assert spec.waves[0].bake == 7200
    assert spec.job.deadline == 1800
    assert float(spec.stop[1].ratio or 0) == 0.15


def test_an_expanded_manifest_is_a_manifest() -> None:
    """What a plan prints can be used again and says the same."""
    manifest = read_manifest(FULL.encode(), "r.yaml")
    again = read_manifest(orjson.dumps(expanded(manifest)), "r.yaml")

    assert again == manifest


@pytest.mark.parametrize("preset", list(PRESETS))
def test_a_preset_spares_waves_and_rules(preset: str) -> None:
    """Five lines are a whole rollout; the preset fills in the rest."""
    spec = read_manifest(f"{SMALL}  preset: {preset}\n".encode(), "r.yaml").spec

    assert spec.waves[-1].pick.rest
    assert spec.stop
    assert (spec.budgets.concurrency == 1) is (preset == "one-by-one")


def test_what_the_manifest_says_wins_over_the_preset() -> None:
    """A preset fills in what is left out and nothing else; no rules at all can be asked for."""
    spec = read_manifest(f"{SMALL}  preset: fast\n  stop: []\n".encode(), "r.yaml").spec

    assert spec.stop == []
    assert [wave.name for wave in spec.waves] == ["early", "rest"]


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    """Nobody mends one line a run."""
    text = SMALL.replace("kind: Rollout", "kind: Rolout").replace("volcano", "vol cano")
    found = problems(text.replace("metadata: {name: small}", "metdata: {name: small}"))

    assert [(one["code"], one["line"], one["column"]) for one in found] == [
        ("MAN-06", 2, 7),
        ("MAN-07", 3, 1),
        ("MAN-06", 5, 18),
    ]


def test_a_misspelt_field_is_shown_with_carets_and_the_right_name() -> None:
    """The message quotes the line before and the line, and marks the word."""
    text = FULL.replace("      tolerate: 0", "      tolrate: 0")
    with pytest.raises(ManifestError) as caught:
        read_manifest(text.encode(), "rollout.yaml")

    assert caught.value.code == "MAN-07"
    lines = str(caught.value).split("\n")
    assert lines[0] == "rollout.yaml:27:7: unknown field 'tolrate' - did you mean 'tolerate'?"
    assert lines[2] == "27 |       tolrate: 0"
    assert lines[3] == "   |       ^^^^^^^"


def test_a_missing_field_that_a_misspelt_one_explains_is_not_told() -> None:
    """One mistake is one message."""
    found = problems(SMALL.replace("version:", "vesion:"))

    assert [(one["code"], one["do"]) for one in found] == [("MAN-07", "did you mean 'version'?")]


@pytest.mark.parametrize("style", ["abnormal_grace", "abnormal-grace", "AbnormalGrace"])
def test_other_spellings_of_a_field_are_recognised(style: str) -> None:
    """Who writes snake_case or dashes is told the one spelling there is."""
    found = problems(FULL.replace("abnormalGrace", style))

    assert [one["do"] for one in found] == ["did you mean 'abnormalGrace'?"]


def test_a_version_without_quotes_is_not_taken_for_another() -> None:
    """1.10 is the number 1.1 to YAML; the message quotes what is written."""
    (found,) = problems(SMALL.replace('"1.15.8"', "1.10"))

    assert found["code"] == "MAN-06"
    assert found["do"] == 'write it in quotes: "1.10"; without quotes 1.10 is the number 1.1'


@pytest.mark.parametrize("written", ["22:00", '"22:00"'])
def test_a_time_is_a_time_with_and_without_quotes(written: str) -> None:
    """In YAML 1.2 nothing becomes sexagesimal."""
    spec = read_manifest(FULL.replace('start: "01:00"', f"start: {written}").encode(), "r").spec

    assert {window.start for window in spec.windows} == {"22:00"}


def test_a_time_that_another_program_spoilt_is_explained() -> None:
    """1320 is what YAML 1.1 makes of 22:00."""
    found = problems(FULL.replace('start: "01:00"', "start: 1320", 1))

    assert "22:00" in found[0]["do"]


@pytest.mark.parametrize("zone", ["Asia/Shangai", "+08:00", "../etc/passwd", "America", "CST8", ""])
def test_a_zone_that_does_not_exist_is_a_clean_error(zone: str) -> None:
    """The zone library raises a KeyError among others; none escapes."""
    found = problems(FULL.replace("timeZone: Asia/Singapore", f'timeZone: "{zone}"'))

    assert [one["code"] for one in found] == ["MAN-06"]
    assert found[0]["line"] == 67


def test_values_inside_inputs_are_shown_by_no_message() -> None:
    """Whatever is wrong near the inputs, their values stay in the file."""
    secret = "s3cr3t-value"
    for broken in (
        f"merge: {{dbPassword: {secret}, n: .nan}}}}",
        f"merge: {{dbPassword: {secret}}}\n      bas: current}}",
        f"merge: {{value: {secret}, value: {secret}}}}}",
        f"merge: [{secret}]}}",
        f"merge: {{{secret}: {{a: b}}",
        f"base: {secret}}}",
    ):
        text = SMALL.replace('"1.15.8"', f'"1.15.8", inputs: {{{broken}').encode()
        with pytest.raises(ManifestError) as caught:
            read_manifest(text, "r.yaml")
        shown = str(caught.value) + json.dumps(caught.value.as_dict()) + repr(caught.value)
        assert secret not in shown or broken.startswith("base"), broken


def test_a_quoted_line_never_shows_what_stands_under_inputs() -> None:
    """However the file is laid out: in blocks, in one line, as JSON, with question marks."""
    secret = "s3cr3t-value"
    block = SMALL.replace(
        '{name: volcano, version: "1.15.8"}',
        f"\n    inputs:\n      merge:\n        x: {secret}\n    vrsion: 1\n    name: volcano",
    )
    flow = SMALL.replace(
        "volcano,", f"volcano, inputs: {{\n    merge: {{x: {secret}}}}}, vrsion: 1,"
    )
    asked = SMALL.replace(
        '{name: volcano, version: "1.15.8"}',
        f"\n    ? inputs\n    : {{merge: {{x: {secret}}}}}\n    vrsion: 1\n    name: volcano",
    )
    as_json = f'{{"spec": {{"plugin": {{"inputs": {{\n"x": "{secret}",\n"y": 1}}, "vrsion": 1}}}}}}'

    for text in (block, flow, asked, as_json):
        with pytest.raises(ManifestError) as caught:
            read_manifest(text.encode(), "r.yaml")
        assert "vrsion" in str(caught.value)
        assert secret not in str(caught.value), text


def test_inputs_are_in_no_repr() -> None:
    """A manifest in a log line or a traceback tells no input."""
    manifest = a_manifest(plugin={"inputs": {"merge": {"token": "s3cr3t-value"}}})

    assert "s3cr3t-value" not in repr(manifest)


def test_values_can_be_set_from_outside() -> None:
    """--set lays a value over the file; an unknown field is told like any other."""
    manifest = read_manifest(FULL.encode(), "r", {"spec.budgets.concurrency": "3"})

    assert manifest.spec.budgets.concurrency == 3
    assert problems(FULL, {"spec.budgets.conurrency": "3"})[0]["code"] == "MAN-07"
    assert problems(FULL, {"spec.plugin.inputs.merge.a": "3"})[0]["code"] == "MAN-09"
    assert problems(FULL, {"spec..a": "3"})[0]["code"] == "MAN-09"
    assert problems(FULL, {"metadata.name.a": "3"})[0]["code"] == "MAN-09"
    assert problems(FULL, {"metadata.name": "[3"})[0]["code"] == "MAN-09"


def test_the_schema_knows_every_field_and_what_a_preset_fills_in() -> None:
    """Editors complete what the model takes, and do not ask for what may be left out."""
    schema = manifest_schema()

    assert schema["$defs"]["Spec"]["required"] == ["plugin"]
    assert "abnormalGrace" in schema["$defs"]["Verify"]["properties"]
    assert schema["additionalProperties"] is False
    assert "Frozen" in schema["$defs"]["Plugin"]["properties"]["version"]["description"]
