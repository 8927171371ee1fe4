"""What GitHub Actions shows of a rollout: an annotation for each pool that failed, and a summary.

Source: GitHub Actions, "Workflow commands": the runner reads ``::error`` lines from both
streams, and the file that ``GITHUB_STEP_SUMMARY`` names is shown as Markdown.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from jobs.model import Job
from worker.cli.console import Console

_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})


def in_actions(environ: Mapping[str, str] | None = None) -> bool:
    """Whether this process runs as a step of a workflow."""
    return (os.environ if environ is None else environ).get("GITHUB_ACTIONS") == "true"


def annotate(console: Console, job: Job, why: str) -> None:
    """Let the run show why a pool failed."""
    title = job.request.target.pool_name.translate(_PROPERTY)
    console.tell(f"::error title={title}::{why.translate(_DATA)}")


def summarise(lines: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
    """Add the recap to the summary of the step; a summary that cannot be written is left out."""
    name = (os.environ if environ is None else environ).get("GITHUB_STEP_SUMMARY")
    if not name:
        return
    # Longer than any row of backquotes that a name may have in it.
    fence = "`" * 10
    try:
        with Path(name).open("a", encoding="utf-8") as file:
            file.write("\n".join([f"{fence}text", *lines, fence, ""]))
    except OSError:
        return
