"""README, docs and CONTRIBUTING: their links lead somewhere, and they are as short as they should be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.documents import DOCS, PAGES, README, links_of
from tests.paths import PACKAGE, PROJECT

GUIDES = [
    *PAGES,
    *PACKAGE.rglob("README.md"),
    PROJECT / "CHANGELOG.md",
    PROJECT / "tests/benchmarks/README.md",
]


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_links_lead_to_what_is_there(page: Path) -> None:
    assert [str(target) for target in links_of(page) if not target.exists()] == []


def test_every_guide_is_among_those_whose_blocks_are_run() -> None:
    assert set(DOCS.glob("*.md")) <= set(PAGES)


def test_the_readme_is_for_users_and_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 160


def test_files_and_folders_that_contributors_are_sent_to_exist() -> None:
    table = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w./*<>-]+/[\w.*<>-]*)`", table))
    named = {name for name in named if "<" not in name and not name.startswith((".", "x"))}
    assert len(named) > 20
    missing = [name for name in named if not any([*PACKAGE.glob(name), *PROJECT.glob(name)])]
    assert missing == []
