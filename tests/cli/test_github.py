"""In GitHub Actions a failed pool is an annotation, and the recap stands in the summary."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders import a_job
from worker.cli.choices import Choices
from worker.cli.console import Console
from worker.cli.github import annotate, in_actions, summarise


def test_only_a_step_of_a_workflow_annotates() -> None:
    """Any other CI gets plain lines."""
    assert in_actions({"GITHUB_ACTIONS": "true"})
    assert not in_actions({"CI": "true"})


def test_no_text_of_the_cloud_can_give_the_runner_a_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Line breaks and separators are escaped, so that a reason stays inside its annotation."""
    job = a_job()
    target = replace(job.request.target, pool_name="pool:1,file=x")
    job = replace(job, request=replace(job.request, target=target))

    annotate(Console(Choices()), job, "50% done\n::set-output name=a::b")

    told = capsys.readouterr().err
    assert told == "::error title=pool%3A1%2Cfile=x::50%25 done%0A::set-output name=a::b\n"


def test_the_recap_is_added_to_the_summary(tmp_path: Path) -> None:
    """What was there stays; where nothing can be written the verdict is told all the same."""
    file = tmp_path / "summary.md"
    file.write_text("before\n")

    summarise(["Rollout ```x``` ended"], {"GITHUB_STEP_SUMMARY": str(file)})
    summarise(["lost"], {"GITHUB_STEP_SUMMARY": str(tmp_path / "no" / "where")})
    summarise(["nowhere"], {})

    fence = "`" * 10
    assert file.read_text() == f"before\n{fence}text\nRollout ```x``` ended\n{fence}\n"
