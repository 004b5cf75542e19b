"""Pictures that rows name: files below one folder, and nothing beside it."""

from __future__ import annotations

from pathlib import Path

_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".avif": "image/avif",
}
_MOST_BYTES = 32 << 20


def image_file(folder: str | None, name: str) -> tuple[Path, str] | None:
    """The file of a picture and its type; None for what is no picture below the folder.

    Args:
        folder: Below which pictures are; None: there are none.
        name: Path as the row has it, absolute or from the folder.
    """
    if folder is None or "\x00" in name:
        return None
    root = Path(folder).resolve()
    try:
        found = (root / name).resolve()  # links followed: what they lead to must be below too
        if not found.is_relative_to(root) or not found.is_file() or found.stat().st_size > _MOST_BYTES:
            return None
    except (OSError, ValueError):
        return None
    kind = _TYPES.get(found.suffix.lower())
    return None if kind is None else (found, kind)
