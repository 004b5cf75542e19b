"""The README's code blocks, and what a reader has when they run them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.spark.conftest import PROJECT

README = PROJECT / "README.md"
_BLOCK = re.compile(
    r"^(?:<!-- test: (?P<note>[^>]*) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S
)
COMMAND = "spark-ml-audit"


@dataclass(frozen=True)
class Block:
    """A code block.

    Attributes:
        kind: bash, python, sql or yaml.
        text: What is in it.
        note: The directive `<!-- test: ... -->` on the line before: the test that runs the block instead.
        line: Where it starts.
    """

    kind: str
    text: str
    note: str | None
    line: int

    def commands(self) -> Iterator[list[str]]:
        """The command lines of a bash block, continued lines joined, comments taken off."""
        for line in self.text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                yield words


def blocks() -> list[Block]:
    """All blocks of the README in their order."""
    text = README.read_text(encoding="utf-8")
    return [
        Block(found["kind"], found["text"], found["note"], text.count("\n", 0, found.start()) + 1)
        for found in _BLOCK.finditer(text)
    ]


def covering_test(note: str) -> Path | None:
    """The file that a directive `covered by FILE` names."""
    found = re.fullmatch(r"covered by (\S+)", note.strip())
    return PROJECT / found[1] if found else None
