"""The documentation shows the tables of the code, and every link in it leads somewhere."""

import re
from pathlib import Path

import pytest

from tests.docs.generated import DOCS, rewritten

PAGES = sorted([*DOCS.glob("*.md"), DOCS.parent / "README.md"])


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_marked_parts_are_as_the_code_has_them(path: Path) -> None:
    """Tables in the documentation equal the tables in the code; `make docs` rewrites them."""
    text = path.read_text()

    assert text == rewritten(text)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_local_link_leads_to_a_file(path: Path) -> None:
    """No link in the documentation is broken."""
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text())
    local = [target for target in targets if "://" not in target]

    assert [target for target in local if not (path.parent / target).exists()] == []
