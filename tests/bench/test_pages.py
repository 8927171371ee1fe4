"""The pages of the benchmark say what was measured and nothing else."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import figures, plot, report
from benchmarks.figures import Results, Row
from benchmarks.works import WORKS


def row(who: str, ratio: list[float], rate: list[float], work: str = "post") -> Row:
    """A row with the figures that matter to a test."""
    like = [1.0] * len(ratio)
    return Row(
        who=who,
        work=work,
        jobs=10,
        requests=like,
        ratio=ratio,
        cpu_us=[one * 100 for one in ratio],
        bare_us=[100.0] * len(ratio),
        rate=rate,
        rss_mb=like,
        server_busy=[0.1] * len(ratio),
    )


@pytest.fixture
def results() -> Results:
    """Two rounds of the bare loop, plugwave and one peer."""
    rows = [
        row(report.BARE, [1.0, 1.0], [4000.0, 2000.0]),
        row("plugwave, SQLite", [2.0, 1.5], [3000.0, 1800.0]),
        row(report.BEST_PEER, [3.0, 2.5], [2000.0, 900.0]),
    ]
    parts = {"post/sqlite": {"claim": 10.0, "limiter": 30.0}}
    made = {"python": "3.11", "cores": 2, "rounds": 2, "load_before": 0.1, "date": "2026-11-24"}
    return Results(made=made, rows=rows, parts=parts, counts={"post/sqlite": {"commits": 0.2}})


def test_the_committed_page_is_made_from_the_committed_figures() -> None:
    """No figure of RESULTS.md was written by hand."""
    assert (figures.FOLDER / "RESULTS.md").read_text() == report.page(figures.load())


@pytest.mark.parametrize(("name", "draw"), [("cpu", plot.cpu), ("parts", plot.parts)])
def test_the_committed_plots_are_made_from_the_committed_figures(
    name: str, draw: "plot.Draw"
) -> None:
    """No bar was drawn by hand, and a browser can read it."""
    drawn = (figures.FOLDER / f"{name}.svg").read_text()

    assert drawn == draw(figures.load())
    assert ET.fromstring(drawn).tag.endswith("svg")


def test_figures_survive_being_written_down(results: Results, tmp_path: Path) -> None:
    """What is loaded is what was saved."""
    results.save(tmp_path / "results.json")

    assert figures.load(tmp_path / "results.json") == results


def test_rates_are_compared_within_their_round(results: Results) -> None:
    """A slow round slows both, so its ratio says as much as that of a fast one."""
    mine = results.rows[1]

    assert report.rates_over_pgqueuer(results, mine) == [1.5, 2.0]
    assert "1.50 / 1.75 / 2.00" in report.against_peers(results)


def test_the_best_stand_first(results: Results) -> None:
    """The table of peers is in order of CPU, the bare loop first."""
    told = report.against_peers(results)
    places = [told.index(name) for name in (report.BARE, "plugwave, SQLite", report.BEST_PEER)]

    assert places == sorted(places)


def test_a_peer_that_was_left_out_is_named(results: Results) -> None:
    """A missing package is a line on the page, not a missing row."""
    line = "arq, Redis was left out: redis-server is not installed"
    results.missing.append(line)

    assert f"- {line}\n" in report.page(results)


def test_a_server_that_may_have_been_waited_for_is_told(results: Results) -> None:
    """The page says it when the cloud was busy enough to be the bottleneck."""
    assert "nobody waited" in report.server(results)
    results.rows[0] = replace(results.rows[0], server_busy=[0.2, 0.9])
    assert "may have been waited for" in report.server(results)


def test_parts_stand_beside_the_goal_in_loops(results: Results) -> None:
    """What is left above a goal can be read off: each part in the measure of the goal."""
    told = report.goals(results)

    assert "| limiter | 0.30 |" in told
    assert "| **all** | **0.40** |" in told
    assert f"| goal | {report.GOALS['post']} |" in told


def test_looks_and_delay_are_told(results: Results) -> None:
    """The page says how often a job asked and how late it knew."""
    assert "Not measured" in report.settling(results)
    quarters = {"sooner_s": 1.0, "late_s": 2.5, "later_s": 4.0, "latest_s": 9.0}
    results.settling = {"jobs": 10.0, "reads": 1.0, "sends": 1.0, "looks": 2.5, **quarters}

    assert "2.50 looks" in report.settling(results)
    assert "2.5 s after" in report.page(results)


def test_a_plot_shows_every_worker_with_its_median(results: Results) -> None:
    """Whoever was measured has a bar and a number."""
    drawn = plot.cpu(results)

    for one, median in zip(results.rows, ("1.00", "1.75", "2.75"), strict=True):
        assert one.who in drawn
        assert f">{median}<" in drawn


def test_the_readme_tells_the_works_that_have_a_goal(results: Results) -> None:
    """The README's table has plugwave's rows, and the peers in one line."""
    told = report.readme(results)

    assert f"| {WORKS['post'].title} | SQLite | **1.75** (1.50 to 2.00) |" in told
    assert "pgqueuer 2.8" in told
