"""A secret that is let out anywhere fails the test that let it out, and the place is named."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import pytest

from jobs.clock import SystemClock
from jobs.store.postgres import open_postgres
from tests.builders import a_request
from tests.leaks import STORED_INPUTS, leak_in, leaks_in_postgres
from tests.planted import ACCESS_CODE, TOKEN, watch_for
from tests.postgres.server import _RESET, dsn_for

REPOSITORY: Final = Path(__file__).resolve().parents[1]

LEAKING: Final = '''
"""Each test lets a secret out on one way."""
import base64, sqlite3, subprocess, sys
import pytest, structlog
from jobs.clock import SystemClock
from jobs.errors import BadRequestError
from jobs.store.sqlite import open_sqlite
from tests import planted
from tests.builders import a_request

def test_stdout(): print(planted.ACCESS_CODE)
def test_stderr(): print(planted.SECRET_KEY, file=sys.stderr)
def test_base64(): print(base64.b64encode(b"user:" + planted.PASSWORD.encode()).decode())
def test_logged(): structlog.get_logger().warning("x", token=planted.TOKEN)
def test_taken_log():
    with structlog.testing.capture_logs():
        structlog.get_logger().warning("x", inputs=planted.INPUTS)
def test_taken_output(capsys):
    print(planted.TOKEN)
    capsys.readouterr()
def test_process_output():
    code = "from tests import planted; print(planted.TOKEN)"
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
def test_argv():
    subprocess.run([sys.executable, "-c", "", planted.TOKEN], check=True)
def test_error():
    with pytest.raises(BadRequestError):
        raise BadRequestError("bad", proof=planted.ACCESS_CODE)
def test_page(tmp_path):
    with (tmp_path / "page.html").open("w") as page:
        page.write(f"<td>{planted.ACCESS_CODE}</td>")
def test_watched():
    print(planted.watch_for("made-by-somebody-else"))
def test_given(tmp_path):
    (tmp_path / "jobs.jsonl").write_text(planted.ACCESS_CODE)  # no leak: the test gives it
async def _store(tmp_path, close=True):
    store = await open_sqlite(tmp_path / "jobs.db", SystemClock())
    await store.enqueue([a_request(key="k")])  # no leak: the spec keeps the inputs
    await store.close()
async def test_spec(tmp_path):
    await _store(tmp_path)
async def test_sqlite(tmp_path):
    await _store(tmp_path)
    with sqlite3.connect(tmp_path / "jobs.db") as database:
        database.execute("UPDATE jobs SET labels = ?", (planted.ACCESS_CODE,))
    database.close()
async def test_sqlite_spec(tmp_path):
    await _store(tmp_path)
    with sqlite3.connect(tmp_path / "jobs.db") as database:
        database.execute("UPDATE specs SET body = ?", (planted.TOKEN,))
    database.close()
async def test_wal(tmp_path):
    await _store(tmp_path)
    database = sqlite3.connect(tmp_path / "jobs.db")
    database.execute("UPDATE jobs SET source = ?", (planted.ACCESS_CODE,))
    database.commit()
    for end in ("", "-wal"):
        with (tmp_path / f"copy.db{end}").open("wb") as copy:
            copy.write((tmp_path / f"jobs.db{end}").read_bytes())
    database.close()
    (tmp_path / "jobs.db").unlink()
'''
"""Tests that leak, but for two of them."""

PLACES: Final = {
    "test_stdout": "stdout during call",
    "test_stderr": "stderr during call",
    "test_base64": "stdout during call",
    "test_logged": "stdout during call",
    "test_taken_log": "log:",
    "test_taken_output": "output:",
    "test_process_output": "output of a process:",
    "test_argv": "argv:",
    "test_error": "error:",
    "test_page": "page.html",
    "test_watched": "stdout during call",
    "test_sqlite": "jobs.db, jobs.labels",
    "test_sqlite_spec": "jobs.db, specs.body",
    "test_wal": "copy.db, jobs.source",
}
"""Every test that leaks, with the place that is named."""


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_each_way_out_is_watched(tmp_path: Path) -> None:
    """Planted leaks, one for each channel, are found; what may be kept is not."""
    with (tmp_path / "test_leaking.py").open("w") as file:
        file.write(LEAKING)
    options = [
        "-q",
        "-p",
        "tests.conftest",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-c",
        "pyproject.toml",
        "--rootdir=.",
    ]
    with (tmp_path / "said").open("wb") as said:
        subprocess.run(
            [sys.executable, "-m", "pytest", *options, str(tmp_path / "test_leaking.py")],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTEST_ADDOPTS": ""},
            stdout=said,
            stderr=subprocess.STDOUT,
            check=False,
        )
    text = (tmp_path / "said").read_text()
    (tmp_path / "said").unlink()

    blocks = dict(
        re.findall(r"ERROR at teardown of (\w+) _+\n(.*?)(?=\n_{3}|\n={3})", text, re.DOTALL)
    )
    assert {name: PLACES[name] in block for name, block in blocks.items()} == dict.fromkeys(
        PLACES, True
    ), text[-3000:].replace("Q7K", "…")


@pytest.mark.parametrize(
    ("sql", "place"),
    [
        ("UPDATE plugwave.jobs SET labels = $1", "jobs.labels"),
        ("INSERT INTO plugwave.projects(name) VALUES ($1)", "projects.name"),
        ("UPDATE plugwave.idempotency SET fingerprint = convert_to($1, 'UTF8')", "idempotency."),
    ],
)
async def test_a_column_of_postgresql_is_named(tmp_path: Path, sql: str, place: str) -> None:
    """The spec keeps the inputs; in any other column they are a leak, as text and as bytes."""
    connection = await asyncpg.connect(await dsn_for(tmp_path))
    store = await open_postgres(await dsn_for(tmp_path), SystemClock())
    await store.enqueue([a_request(key="k")])
    await store.close()
    before = await leaks_in_postgres(connection, "here")

    await connection.execute(sql, ACCESS_CODE)
    leaks = await leaks_in_postgres(connection, "here")
    await connection.execute(_RESET)
    await connection.close()

    assert before == []
    assert len(leaks) == 1
    assert f"PostgreSQL of here, {place}" in leaks[0]


def test_what_is_masked_is_no_leak() -> None:
    """The first and last characters of a key may be seen."""
    assert leak_in("AKQ7…0001 and *** and sk") is None


def test_secrets_made_by_others_are_watched_too() -> None:
    """A credential that the simulated cloud made is looked for as well, until the test ends."""
    watch_for("made-by-somebody-else")

    assert leak_in("it is made-by-somebody-else!") is not None


def test_inputs_stay_where_they_are_kept() -> None:
    """Of all columns of a store four may hold inputs; the same text elsewhere is a leak."""
    assert len(STORED_INPUTS) == 4
    assert leak_in(ACCESS_CODE) is not None
    assert leak_in(ACCESS_CODE, inputs_too=False) is None
    assert leak_in(TOKEN, inputs_too=False) is not None
