"""Write a file that a person named: whole or not at all, and for its owner's eyes."""

import os
from pathlib import Path

from jobs.errors import UsageError


def write_own(out: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all.

    Raises:
        UsageError: If it cannot be written there.
    """
    beside = out.with_name(f".{out.name}.new")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        beside.replace(out)
    except OSError as error:
        why = error.strerror or "it cannot be written"
        raise UsageError(f"--out {out}: {why}", do="name a file in a folder of yours") from None
