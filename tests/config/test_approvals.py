"""Who is in which group, as files and variables say it."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from config.approvals import ApprovalSettings
from config.describing import describe
from config.loading import Places, load


def test_groups_are_lists_of_persons(tmp_path: Path) -> None:
    """A file lists them, a variable joins them with commas; a person may be in several."""
    places = Places(cwd=tmp_path, user_config=tmp_path, system_config=tmp_path, state=tmp_path)
    file = '[approvals.groups]\nsre = ["ana", "ben"]\nlead = ["ana"]\n'
    (tmp_path / "plugwave.toml").write_text(file)
    environ = {"PLUGWAVE_APPROVALS__GROUPS__NIGHT_SHIFT": "ben, cleo"}

    loaded = load(environ=environ, places=places)

    approvals = loaded.settings.approvals
    assert approvals.of("ana") == ("lead", "sre")
    assert approvals.of("ben") == ("night-shift", "sre")
    assert approvals.of("eve") == ()
    shown = {row.key: row.value_text for row in describe(loaded)}
    assert shown["approvals.groups.sre"] == "ana, ben"


@pytest.mark.parametrize(
    "groups",
    [{"sre": 4}, {"sre": [4]}, {"sre": ["ana", " "]}, {"s/re": ["ana"]}],
    ids=["number", "number in it", "nobody", "slash"],
)
def test_a_group_is_a_name_with_names(groups: object) -> None:
    """Anything else is refused when the program starts."""
    with pytest.raises(ValidationError):
        ApprovalSettings.model_validate({"groups": groups})
