"""Refuse a store on a network file system: SQLite's locks and its shared memory do not hold there.

WAL needs memory that all processes of a store share, so a second machine would not even see
the first one's commits; and many network file systems keep locks badly.  What a folder is on
is read from the kernel's list of mounts; where there is none (not Linux), nothing is refused.

Source: https://sqlite.org/wal.html, "all processes using a database must be on the same host
computer"; store notes, section 8.8.
"""

import os
from pathlib import Path
from typing import Final

from jobs.errors import StoreError

MOUNTS: Final = Path("/proc/self/mountinfo")

NETWORK: Final = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "davfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "orangefs",
        "smb3",
        "smbfs",
    }
)
"""Types of file systems that other machines serve."""

NETWORK_FUSE: Final = frozenset({"glusterfs", "gvfsd-fuse", "juicefs", "rclone", "s3fs", "sshfs"})
"""The same behind FUSE: what follows ``fuse.`` in the type."""


def type_of(folder: Path, mounts: str) -> str | None:
    """Return the type of the file system that *folder* is on, None when no mount holds it.

    Args:
        folder: Absolute, without symbolic links.
        mounts: The text of ``/proc/self/mountinfo``; a later mount hides an earlier one.
    """
    best, found = -1, None
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) < 5 or not right:
            continue
        # The kernel writes a blank as \040.
        point = Path(fields[4].encode("latin-1", "replace").decode("unicode_escape"))
        if folder.is_relative_to(point) and len(point.parts) >= best:
            best, found = len(point.parts), right.split(" ")[0]
    return found


def is_network(kind: str) -> bool:
    """Whether a file system of that type is served by another machine."""
    family, _, program = kind.partition(".")
    return kind in NETWORK or (family == "fuse" and program in NETWORK_FUSE)


def refuse_network(path: Path, mounts: Path = MOUNTS) -> None:
    """Say no to a store on a network file system.

    Raises:
        StoreError: If *path* is on one.
    """
    try:
        text = mounts.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    kind = type_of(Path(os.path.realpath(path)).parent, text)
    if kind is not None and is_network(kind):
        raise StoreError(
            f"the store {path} would be on a network file system ({kind})",
            why="SQLite's locks and shared memory do not hold there; files get damaged",
            do="put it on a disk of this machine, or use PostgreSQL for several machines",
            path=str(path),
        )
