"""Targets: which pools a manifest means, by what is observed and by a fleet file."""

from typing import Any

import orjson
import pytest

from jobs.errors import ManifestError
from jobs.rollouts.fleetfile import read_fleet
from jobs.rollouts.observed import Observed
from jobs.rollouts.targets import included, maybe_included, needs_look
from tests.builders import PROJECT
from tests.rollouts.building import a_manifest, a_pool

OTHER = "1" * 32
FLEET = [
    a_pool(1, labels={"env": "prod", "ring": "a"}),
    a_pool(2, labels={"env": "test"}, region="cn-east-3"),
    a_pool(3, labels={"env": "prod"}, project=OTHER, installed=None),
    a_pool(4, installed="1.6.64"),
]


def chosen(pools: list[Observed] | None = None, **targets: Any) -> list[int]:
    """Return the numbers of the pools that are meant."""
    found = included(a_manifest(targets=targets).spec.targets, pools or FLEET)
    return sorted(int(pool.target.pool_name[-4:]) for pool in found)


@pytest.mark.parametrize(
    ("selector", "numbers"),
    [
        ({"regions": ["cn-east-3"]}, [2]),
        ({"projects": OTHER}, [3]),
        ({"pools": ["pool-000[12]"]}, [1, 2]),
        ({"pools": "shown-*4"}, [4]),
        ({"labels": {"env": "prod"}}, [1, 3]),
        ({"labels": {"env": ["prod", "test"]}}, [1, 2, 3]),
        ({"labels": {"env": "prod", "ring": "a"}}, [1]),
        ({"installed": "absent"}, [3]),
        ({"installed": ">=1.6.64"}, [4]),
        ({"installed": ["1.6.64", "absent"]}, [3, 4]),
        ({"types": "Physical"}, []),
        ({"regions": "cn-north-4", "labels": {"env": "prod"}}, [1, 3]),
    ],
    ids=str,
)
def test_every_line_must_hold_and_any_value_will_do(selector: Any, numbers: list[int]) -> None:
    """Within a selector lines are joined by and, the values of a line by or."""
    assert chosen(include=[selector]) == numbers


def test_selectors_add_up_and_exclude_wins() -> None:
    """Whatever is excluded is not meant; without include everything else is."""
    assert chosen() == [1, 2, 3, 4]
    assert chosen(include=[{"pools": "pool-0001"}, {"pools": "pool-0002"}]) == [1, 2]
    assert chosen(exclude=[{"labels": {"env": "prod"}}]) == [2, 4]
    assert chosen(include=[{"labels": {"env": "prod"}}], exclude=[{"projects": OTHER}]) == [1]


def test_nothing_is_excluded_by_what_was_not_read() -> None:
    """A pool whose plug-ins are not known yet may be meant, and is looked at."""
    targets = a_manifest(targets={"include": [{"installed": "1.6.64"}]}).spec.targets
    unread = a_pool(5, looked=False)

    assert maybe_included(targets, unread)
    assert included(targets, [unread]) == []
    assert needs_look(targets, [])
    assert not needs_look(a_manifest().spec.targets, [])


def test_a_fleet_file_is_read_in_three_forms() -> None:
    """The same two pools, with a label of their own."""
    rows = [
        {"project_id": PROJECT, "pool_name": "pool-1", "region": "cn-north-4"},
        {"project_id": PROJECT, "pool_name": "pool-2", "labels": {"ring": "canary"}},
    ]
    lines = b"\n".join(orjson.dumps(row) for row in rows)
    table = (
        "\ufeffproject_id,pool_name,region,labels.ring\r\n"
        f"{PROJECT},pool-1,cn-north-4,\r\n\r\n{PROJECT},pool-2,,canary\r\n"
    )
    forms = {
        "f.jsonl": lines,
        "f.csv": table.encode(),
        "f.yaml": orjson.dumps(rows),
        "f.yml": orjson.dumps({"pools": rows}),
    }
    read = [read_fleet(data, name) for name, data in forms.items()]

    assert all(one == read[0] for one in read)
    assert read[0][1].labels == {"ring": "canary"}
    assert read[0][0].target.region == "cn-north-4"


ROW = f'{{"project_id": "{PROJECT}", "pool_name": "pool-1"}}'


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.jsonl", f"{ROW}\n{{broken", 2),
        ("b.jsonl", f"{ROW}\n{ROW}", 2),
        ("c.jsonl", f"{ROW}\n\n[1]", 3),
        ("d.jsonl", '{"project_id": "p", "pol_name": "x"}', 1),
        ("e.csv", "project_id,pool_name\np,../x\n", 2),
        ("f.csv", "project_id,pool\np,x\n", 2),
        ("g.csv", "project_id,pool_name\np,x,y\n", 2),
        ("h.csv", 'project_id,pool_name\n"p\n', 2),
        ("i.yaml", "- {project_id: p}\n", 1),
        ("j.yaml", "- {project_id: p, pool_name: x}\n- {project_id: p, pool_name: x}\n", 2),
        ("k.yaml", "pools: x\n", 1),
        ("l.yaml", "pool: []\n", 1),
        ("m.yaml", "- a: b: c\n", 1),
        ("n.csv", "project_id,pool_name\n" + "p," + "x" * 200_000 + "\n", 2),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value[:3] else "",
)
def test_a_wrong_line_of_a_fleet_file_is_named(name: str, text: str, line: int) -> None:
    """Whatever is wrong, the file and the line are told."""
    with pytest.raises(ManifestError) as caught:
        read_fleet(text.encode(), name)

    problems: Any = caught.value.facts["problems"]
    assert {one["line"] for one in problems} == {line}
    assert str(caught.value).startswith(f"{name}:{line}:")


@pytest.mark.parametrize("data", [b"\xff\xfe", b"x" * 9_000_000], ids=["no-text", "too-large"])
def test_a_file_that_cannot_be_a_fleet_is_refused(data: bytes) -> None:
    """Neither bytes that are no text nor a whole disk are read."""
    with pytest.raises(ManifestError):
        read_fleet(data, "f.csv")


def test_the_files_labels_win_over_the_clouds() -> None:
    """Rings can be kept beside the manifest."""
    pool = a_pool(1, labels={"ring": "rest", "env": "prod"})
    told = Observed(target=pool.target, pool=pool.pool, labels={"ring": "canary"})

    assert told.all_labels == {"ring": "canary", "env": "prod"}
    assert chosen([told], include=[{"labels": {"ring": "canary"}}]) == [1]
