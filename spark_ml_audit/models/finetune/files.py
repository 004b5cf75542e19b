"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def renamed_into_place(target: Path) -> Iterator[Path]:
    """A file under another name, which gets its own once it is written.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with renamed_into_place(folder / "weights") as part:
    ...     _, there = part.write_text("1"), (folder / "weights").exists()
    >>> there, [file.name for file in folder.iterdir()]
    (False, ['weights'])
    """
    part = target.with_name(f".{target.name}-{secrets.token_hex(4)}.part")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
