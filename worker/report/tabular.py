"""A report as CSV: one row for each pool, and no cell that a spreadsheet would run."""

import csv
import io
from typing import Any, Final

COLUMNS: Final = (
    "region", "project_id", "pool_name", "display_name", "wave", "action", "version_from",
    "version_to", "outcome", "why", "cause", "error_code", "http_status", "cloud_request_id",
    "started_at", "finished_at", "run_s", "attempts", "calls", "job",
)  # fmt: skip

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Beginnings of a cell that spreadsheets take for a formula, full-width ones included."""


def csv_text(facts: dict[str, Any]) -> str:
    """Return a head and one row for each pool (RFC 4180)."""
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\r\n")
    rows.writerow(COLUMNS)
    for pool in facts["pools"]:
        rows.writerow([_cell(pool[name]) for name in COLUMNS])
    return written.getvalue()


def _cell(value: object) -> str:
    """Return a cell; a text that would be run gets an apostrophe before it."""
    if value is None:
        return ""
    text = str(value)
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text
