"""STORE.md says what was measured, and compares only what was measured beside it."""

from typing import Any

import pytest

from benchmarks.storing import pages
from benchmarks.storing.growing import CLAIM, Growth
from benchmarks.storing.parts import CALLERS, Parts
from benchmarks.storing.subjects import bare_sqlite, plugwave

PARTS_US = dict.fromkeys((*pages.PARTS, CALLERS), 7.0)


def grown(store_s: float, claim_ms: float, cpu_us: float) -> dict[str, Any]:
    """A subject at two sizes; the larger one costs half as much again."""
    sizes = [
        {"size": size, "claims_ms": [claim_ms] * 3, "cpu_us": cpu_us * more, "parts_us": PARTS_US}
        for size, more in ((1_000, 1.0), (10_000, 1.5))
    ]
    cost = {"store_cpu_us": 30.0, "store_server_us": 0.0}
    return {"stored": 10_000, "store_s": store_s, "prepare_s": 1.0, "sizes": sizes} | cost


@pytest.fixture
def told() -> pages.Store:
    """Plugwave and its peer on one engine."""
    return {
        "made": {"date": "2026-11-24", "python": "3.11", "cores": 2, "load_before": 0.0},
        "grown": {
            "plugwave/sqlite": grown(4.0, 20.0, 100.0),
            "bare/sqlite": grown(2.0, 5.0, 10.0),
        },
        "lives": {},
        "missing": ["pgqueuer was left out: no PostgreSQL"],
    }


def test_the_committed_page_is_made_from_the_committed_figures() -> None:
    """No figure of STORE.md was written by hand."""
    assert pages.PAGE.read_text() == pages.page(pages.load())


def test_ratios_are_to_the_peer_on_the_same_engine(told: pages.Store) -> None:
    """Enqueue takes twice, a claim four times what the bare table takes."""
    assert (
        "| plugwave, SQLite | 10,000 | 4.0 | ≤ 60 s | 2,500 | 2.0 | 30 | 1.0 |"
        in pages.enqueued(told)
    )
    assert "| 1,000 | 20.0 / 20.0 | 5.0 / 5.0 | 4.0 |" in pages.claims(told)


def test_growth_with_the_queue_is_told(told: pages.Store) -> None:
    """A store whose jobs grow dearer cannot hide it."""
    assert "costs 1.50 times at 10,000 queued what it costs at 1,000" in pages.flatness(told)


def test_what_callers_cost_is_no_part_of_the_store() -> None:
    """Tasks that ask for moves are the worker's; each move is measured with them, so they go."""
    spent = Parts()
    spent._spent_s = {"claim": 1.0, "intent": 3.0, CALLERS: 2.0}
    assert spent.store_us(1_000_000) == pytest.approx(2.0)


def test_what_was_left_out_is_named(told: pages.Store) -> None:
    """A missing peer is a line, not a gap."""
    assert "- pgqueuer was left out: no PostgreSQL\n" in pages.page(told)


@pytest.mark.slow
@pytest.mark.parametrize("subject", [plugwave, bare_sqlite], ids=["plugwave", "bare"])
async def test_a_queue_is_grown_claimed_from_and_carried(
    subject: Any, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is claimed and put back is still queued; what is carried is gone."""
    monkeypatch.setattr("benchmarks.storing.growing.CLAIMS", 1)
    address = f"sqlite:///{tmp_path_factory.mktemp('grown')}/store.db"

    async with subject(address) as opened:
        growth = Growth(opened, 0)
        await growth.grow(2 * CLAIM)

    assert (growth.stored, growth.left) == (2 * CLAIM, CLAIM)
    assert [one["size"] for one in growth.sizes] == [2 * CLAIM]
