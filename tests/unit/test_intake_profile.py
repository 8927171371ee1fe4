"""The intake's file: what it may hold, and what is told about one that is wrong."""

from pathlib import Path

import pytest

from jobs.errors import ManifestError
from jobs.intake.profile import read_profile
from tests.planted import credential

GOOD = """
apiVersion: plugwave/v1
kind: Intake
metadata: {name: ticketing}
spec:
  from:
    redis: {url: "redis://queue:6379/0", stream: plugin-jobs}
"""


def refusal(text: str) -> str:
    """Return what is told about the file."""
    with pytest.raises(ManifestError) as caught:
        read_profile(text.encode(), "intake.yaml")
    return str(caught.value)


def test_the_shortest_profile_names_a_broker() -> None:
    """Everything else has a default."""
    profile = read_profile(GOOD.encode(), "intake.yaml")

    assert profile.spec.from_.redis is not None
    assert profile.spec.from_.redis.group == "plugwave"
    assert profile.spec.prefetch == 500


@pytest.mark.parametrize("name", ["nats", "rabbitmq", "redis", "kafka"])
def test_the_examples_are_acceptable(name: str) -> None:
    """Each example of the repository can be read."""
    path = Path(__file__).parents[2] / "examples" / f"{name}.intake.yaml"

    read_profile(path.read_bytes(), path.name)


@pytest.mark.parametrize(
    ("old", "new", "place", "word"),
    [
        ("stream:", "steam:", "7:", "stream"),
        ("kind: Intake", "kind: Rollout", "3:", "Intake"),
        ("    redis: {", "    nats: {url: x, stream: y}\n    redis: {", "", "2 brokers"),
        ("from:\n", "form:\n", "6:", "from"),
        ("spec:\n", "spec:\n  prefetch: 0\n", "6:", "prefetch"),
        ("spec:\n", "spec:\n  idempotency: {from: 'a b'}\n", "6:", ""),
    ],
)
def test_mistakes_are_told_with_their_place(old: str, new: str, place: str, word: str) -> None:
    """File, line and what was meant."""
    told = refusal(GOOD.replace(old, new))

    assert f"intake.yaml:{place}" in told if place else "intake.yaml" in told
    assert word in told


def test_a_password_may_not_stand_in_the_file() -> None:
    """It is told what to do instead, and not shown."""
    secret = credential("pw")
    told = refusal(GOOD.replace("redis://queue", f"redis://user:{secret}@queue"))

    assert "env:NAME" in told
    assert secret not in told


def test_a_file_that_is_a_bare_address_does_not_show_its_password() -> None:
    """It holds no fields, and the line that is quoted has stars."""
    secret = credential("pw")
    told = refusal(f"redis://u:{secret}@queue")

    assert "no mapping of fields" in told
    assert secret not in told


def test_a_file_that_is_no_yaml_does_not_show_the_password_either() -> None:
    """The line is shown with stars."""
    secret = credential("pw")
    told = refusal(f"spec: {{redis: {{url: redis://u:{secret}@queue, url: 2}}")

    assert "redis://u:****" in told
    assert secret not in told
