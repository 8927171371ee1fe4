"""`config show` and the settings page: everything is shown, except what is secret."""

from pathlib import Path

import pytest

from config.describing import HIDDEN, describe, seconds_text, settings_reference
from config.keys import all_keys, profile_keys
from config.loading import Places, load
from jobs.durations import parse_duration
from tests import planted


def rows(tmp_path: Path, **environ: str) -> dict[str, tuple[str, str]]:
    """Return what is shown by key, as (value, origin), with these variables set."""
    places = Places(
        cwd=tmp_path, user_config=tmp_path / "u", system_config=tmp_path / "e", state=tmp_path / "s"
    )
    variables = {f"PLUGWAVE_{name}": value for name, value in environ.items()}
    shown = describe(load(environ=variables, places=places))
    return {row.key: (row.value_text, row.origin) for row in shown}


def test_every_key_is_shown_with_value_and_origin(tmp_path: Path) -> None:
    """`config show --origin` leaves no key out."""
    shown = rows(tmp_path, CLOUD__RATE="3", CLOUD__SETTLE="120s")

    assert set(shown) == {key.name for key in all_keys().values()}
    assert shown["cloud.rate"] == ("3", "PLUGWAVE_CLOUD__RATE")
    assert shown["cloud.settle"] == ("2m", "PLUGWAVE_CLOUD__SETTLE")
    assert shown["worker.slots"] == ("256", "default")
    assert shown["cloud.trust_env"] == ("false", "default")
    assert shown["cloud.auth"] == ("auto", "default")
    assert shown["logs.file"] == ("stderr", "default")
    assert shown["cloud.region"] == ("none", "default")
    assert shown["cloud.endpoints"] == ("none", "default")
    assert shown["store.url"] == (f"sqlite:///{tmp_path}/s/state.db", "default")


def test_each_regions_endpoint_has_its_own_row(tmp_path: Path) -> None:
    """Where regions have endpoints, each is shown with its own origin."""
    shown = rows(tmp_path, CLOUD__ENDPOINTS__CN_NORTH_4="https://a.example")

    assert shown["cloud.endpoints.cn-north-4"] == (
        "https://a.example",
        "PLUGWAVE_CLOUD__ENDPOINTS__CN_NORTH_4",
    )
    assert "cloud.endpoints" not in shown


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@db/q",
        "postgresql://me:hun%40ter2@db/q",
        "postgresql://me@db/q?password=hunter2&sslmode=require",
        "postgresql://me:hunter2@one:5432,two:5432/q",
    ],
)
def test_a_stores_address_is_shown_without_its_password(tmp_path: Path, url: str) -> None:
    """Operators see which server is used, never its password."""
    text, _ = rows(tmp_path, STORE__URL=url)["store.url"]

    assert "ter2" not in text
    assert text.startswith("postgresql://me")
    assert "/q" in text


def test_a_token_is_shown_as_set(tmp_path: Path) -> None:
    """One sees that a token is there and where from, not even how long it is."""
    shown = rows(tmp_path, CLOUD__TOKEN=planted.TOKEN)

    assert shown["cloud.token"] == (HIDDEN, "PLUGWAVE_CLOUD__TOKEN")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.028, "28ms"),
        (0, "0s"),
        (1.5, "1.5s"),
        (60, "60s"),
        (90, "90s"),
        (600, "10m"),
        (2700, "45m"),
    ],
)
def test_durations_are_shown_as_the_documentation_writes_them(seconds: float, text: str) -> None:
    """``90s`` stays ``90s``, and what is shown can be written back."""
    assert seconds_text(seconds) == text
    assert parse_duration(text) == pytest.approx(seconds)


def test_the_settings_page_has_every_key_with_variable_default_and_meaning() -> None:
    """The page is made from the settings themselves, so it cannot be out of date."""
    page = {row.key: row for row in settings_reference()}

    assert len(page) == len(all_keys()) + len(profile_keys("NAME"))
    assert page["cloud.settle"].variable == "PLUGWAVE_CLOUD__SETTLE"
    assert page["cloud.settle"].default == "90s"
    assert page["cloud.poll_factor"].default == "1.5"
    assert page["jobs.deadline"].default == "45m"
    assert page["logs.file"].default == "stderr"
    assert page["store.url"].default == "SQLite in the state folder"
    assert page["cloud.endpoints.REGION"].variable == "PLUGWAVE_CLOUD__ENDPOINTS__REGION"
    assert page["approvals.groups.GROUP"].variable == "PLUGWAVE_APPROVALS__GROUPS__GROUP"
    assert "\n" not in page["cloud.rate"].meaning
    assert "requests a second" in page["cloud.rate"].meaning.lower()
