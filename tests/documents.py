"""The code blocks of the README and of docs/, and what a reader has when they run them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.paths import PROJECT

README = PROJECT / "README.md"
DOCS = PROJECT / "docs"
# In the order in which a reader meets them: what the README leaves behind, the others build on.
PAGES = (
    README,
    *(
        DOCS / f"{name}.md"
        for name in ("tagging", "integrations", "features", "gates", "compare_and_trend", "where_it_runs")
    ),
    *(DOCS / f"{name}.md" for name in ("from_cleanlab", "report", "method", "architecture")),
    PROJECT / "CONTRIBUTING.md",
    DOCS / "engines.md",
    DOCS / "trust.md",
    DOCS / "calibration.md",
    DOCS / "python.md",
    DOCS / "encoders.md",
    DOCS / "auto.md",
    DOCS / "images.md",
    DOCS / "commands.md",
    DOCS / "sources.md",
    DOCS / "mistakes.md",
    DOCS / "review_page.md",
    DOCS / "reviewers.md",
    DOCS / "learning_from_decisions.md",
    DOCS / "what_to_label_next.md",
)
_BLOCK = re.compile(
    r"^(?:<!-- test: (?P<note>[^>]*) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S
)
_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
COMMAND = "spark-ml-audit"


@dataclass(frozen=True)
class Block:
    """A code block.

    Attributes:
        kind: bash, python, sql or yaml.
        text: What is in it.
        note: The directive `<!-- test: ... -->` on the line before: the test that runs the block instead.
        where: File and line where it starts.
    """

    kind: str
    text: str
    note: str | None
    where: str

    def commands(self) -> Iterator[list[str]]:
        """The command lines of a bash block, continued lines joined, comments taken off."""
        for line in self.text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                yield words


def blocks_of(page: Path) -> list[Block]:
    """The blocks of one page in their order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            found["kind"],
            found["text"],
            found["note"],
            f"{page.name} line {text.count(chr(10), 0, found.start()) + 1}",
        )
        for found in _BLOCK.finditer(text)
    ]


def blocks() -> list[Block]:
    """All blocks of all pages in the order of reading."""
    return [block for page in PAGES for block in blocks_of(page)]


def links_of(page: Path) -> list[Path]:
    """What a page links to within the project."""
    return [page.parent / target for target in _LINK.findall(page.read_text(encoding="utf-8"))]


def covering_test(note: str) -> Path | None:
    """The file that a directive `covered by FILE` names."""
    found = re.fullmatch(r"covered by (\S+)", note.strip())
    return PROJECT / found[1] if found else None
