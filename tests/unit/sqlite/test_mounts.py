"""A store on a network file system is refused before anything is written."""

from pathlib import Path

import pytest

from jobs.errors import StoreError
from jobs.store.sqlite import mounts, open_sqlite
from jobs.store.sqlite.mounts import is_network, refuse_network, type_of
from tests.fakes import FakeClock

MOUNTED = """\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 21 0:40 / /home rw - nfs4 server:/home rw,vers=4.2
31 30 8:2 / /home/local rw - xfs /dev/sdb1 rw
32 21 0:41 / /mnt/with\\040blank rw - fuse.sshfs me@there: rw
33 21 0:42 / /twice rw - cifs //server/share rw
34 21 0:43 / /twice rw - tmpfs tmpfs rw
broken line
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/var/lib/plugwave", "ext4"),
        ("/home/me/.local/state", "nfs4"),
        ("/home/local/state", "xfs"),
        ("/homeless", "ext4"),
        ("/mnt/with blank/a", "fuse.sshfs"),
        ("/twice", "tmpfs"),
    ],
)
def test_the_innermost_and_latest_mount_counts(folder: str, kind: str) -> None:
    """A folder is on the mount that is nearest above it, and on the last of several."""
    assert type_of(Path(folder), MOUNTED) == kind


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "9p", "fuse.sshfs"])
def test_what_other_machines_serve_is_refused(kind: str) -> None:
    """It is known by its type, also behind FUSE."""
    assert is_network(kind)


@pytest.mark.parametrize("kind", ["ext4", "tmpfs", "overlay", "fuse.ntfs-3g", "fuseblk"])
def test_what_this_machine_serves_is_taken(kind: str) -> None:
    """Local file systems are taken, also those behind FUSE."""
    assert not is_network(kind)


def test_without_a_list_of_mounts_nothing_is_refused(tmp_path: Path) -> None:
    """Other systems than Linux have no such list."""
    refuse_network(tmp_path / "jobs.db", tmp_path / "absent")


async def test_a_store_on_a_network_file_system_is_refused(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the file system and the way out, and nothing has been made."""
    listed = tmp_path / "mountinfo"
    listed.write_text(f"30 21 0:40 / {tmp_path} rw - nfs4 server:/home rw\n")
    monkeypatch.setattr(mounts.refuse_network, "__defaults__", (listed,))

    with pytest.raises(StoreError, match=r"network file system \(nfs4\)") as caught:
        await open_sqlite(tmp_path / "new" / "jobs.db", clock)

    assert "PostgreSQL" in caught.value.do
    assert not (tmp_path / "new").exists()
