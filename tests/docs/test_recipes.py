"""The recipes for other schedulers: what they start is what a person would type."""

import configparser
import os
import re
import shlex
import subprocess
from pathlib import Path

from tests.docs.generated import DOCS

PAGE = (DOCS / "schedules.md").read_text()
KEY = re.compile(r"nightly-\d{4}-\d\d-\d\d")


def blocks(language: str) -> list[str]:
    """Return the blocks of that language on the page."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def started(folder: Path, command: str) -> list[str]:
    """Run a command line as /bin/sh does; return the arguments that plugwave got."""
    fake = folder / "plugwave"
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$OUT"\n')
    fake.chmod(0o755)
    out = folder / "arguments"
    environ = {"PATH": f"{folder}{os.pathsep}/usr/bin:/bin", "OUT": str(out), "TZ": "UTC"}
    subprocess.run(["/bin/sh", "-c", command], cwd=folder, env=environ, check=True)
    return out.read_text().splitlines()


def assert_nightly(arguments: list[str]) -> None:
    """See that a day's run has a day's key."""
    assert arguments[:3] == ["apply", "nightly.rollout.yaml", "--yes"]
    assert KEY.fullmatch(arguments[arguments.index("--idempotency-key") + 1])


def test_the_line_for_cron_starts_a_rollout_with_the_day_as_its_key(tmp_path: Path) -> None:
    """Cron hands everything behind the five fields to the shell; its percent signs are escaped."""
    (table,) = blocks("crontab")
    *settings, line = table.strip().splitlines()
    *times, command = line.split(maxsplit=5)

    assert settings == ["CRON_TZ=Asia/Shanghai"]
    assert times == ["15", "1", "*", "*", "TUE"]
    assert not re.search(r"(?<!\\)%", command)
    command = command.replace("\\%", "%").replace("/etc/plugwave", str(tmp_path))
    assert_nightly(started(tmp_path, command))


def test_the_units_for_systemd_start_the_same(tmp_path: Path) -> None:
    """Each is a unit file; the service starts what systemd makes of ExecStart."""
    units = []
    for text in blocks("ini"):
        unit = configparser.ConfigParser(interpolation=None)
        unit.optionxform = str  # type: ignore[assignment,method-assign]  # keys keep their case
        unit.read_string(text)
        units.append(unit)
    service, timer = units

    shell, flag, script = shlex.split(service["Service"]["ExecStart"])
    assert (shell, flag) == ("/bin/sh", "-c")
    assert_nightly(started(tmp_path, script.replace("%%", "%").replace("$$", "$")))
    assert not re.search(r"(?<!%)%[^%]", service["Service"]["ExecStart"].replace("%%", ""))
    assert timer["Timer"]["Persistent"] == "true"
    assert timer["Timer"]["OnCalendar"] == "Tue *-*-* 01:15:00 Asia/Shanghai"
    assert service["Service"]["Type"] == "oneshot"
