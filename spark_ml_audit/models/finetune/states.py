"""Hidden states of texts on disk, by content: computed once for all folds, epochs and retries of a run."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spark_ml_audit.models.finetune.files import renamed_into_place
from spark_ml_audit.models.finetune.split import SplitEncoder, States

_CHUNK = 1024
# Of what is free on the disk.
_MOST_OF_DISK = 0.5
_INDEX, _STATES = ".index.npz", ".states"

Tokens = NDArray[np.int32]


class StateStore:
    """Files of states in a folder that several processes read and add to.

    A file of states counts once its index is there, which is written last and renamed into place; nothing is
    changed afterwards. States beyond the limit are computed whenever they are asked for.

    Args:
        split: Computes them.
        folder: Where they are; made if missing.
        max_bytes: Bytes of all files at most; half of what is free on the disk is another limit.
    """

    def __init__(self, split: SplitEncoder, folder: Path, max_bytes: int) -> None:
        below = split.num_layers - split.num_trained
        self._split = split
        self._folder = folder / f"states-{split.identity[:16]}-{below}-{split.max_tokens}"
        self._max_bytes = max_bytes
        self._places: dict[bytes, tuple[NDArray[np.float16], int, int]] = {}
        self._seen: set[str] = set()
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
        self._look()

    def fill(self, tokens: Sequence[Tokens], done: Callable[[int], None] = lambda count: None) -> None:
        """Compute and keep the states that are not there yet, until the limit.

        Args:
            tokens: Of each text.
            done: Called with how many texts of those missing are there now.
        """
        missing = {key: row for key, row in self._rows(tokens).items() if key not in self._places}
        ordered = sorted(missing, key=lambda key: (len(tokens[missing[key]]), key))
        chunks = [ordered[start : start + _CHUNK] for start in range(0, len(ordered), _CHUNK)]
        # processes that begin at different places make different files, and find each other's
        first = os.getpid() % len(chunks) if chunks else 0
        counted = 0
        for chunk in chunks[first:] + chunks[:first]:
            self._look()
            absent = [key for key in chunk if key not in self._places]
            if not self._add(absent, [tokens[missing[key]] for key in absent]):
                return
            counted += len(chunk)
            done(counted)

    def states(self, tokens: Sequence[Tokens]) -> list[States]:
        """States of texts: read where they are kept, else computed; the same bits either way."""
        keys = [key_of(row) for row in tokens]
        absent = [place for place, key in enumerate(keys) if key not in self._places]
        computed = iter(self._split.states([tokens[place] for place in absent]))
        found: list[States] = []
        for key in keys:
            kept = self._places.get(key)
            found.append(next(computed) if kept is None else kept[0][kept[1] : kept[2]])
        return found

    @property
    def num_kept(self) -> int:
        """Texts whose states are on disk."""
        return len(self._places)

    @staticmethod
    def _rows(tokens: Sequence[Tokens]) -> dict[bytes, int]:
        """Row of each distinct content."""
        return {key_of(row): place for place, row in enumerate(tokens)}

    def _look(self) -> None:
        """Find what other processes have written meanwhile."""
        for index in sorted(self._folder.glob(f"*{_INDEX}")):
            if index.name in self._seen:
                continue
            self._seen.add(index.name)
            with contextlib.suppress(OSError, ValueError, KeyError):  # removed or broken: computed again
                self._read(index)

    def _read(self, index: Path) -> None:
        with np.load(index, allow_pickle=False) as held:
            keys, ends = held["keys"], held["ends"]
        file = index.with_name(index.name.removesuffix(_INDEX) + _STATES)
        flat = np.memmap(file, dtype=np.float16, mode="r", shape=(int(ends[-1]), self._split.width))
        start = 0
        for key, end in zip(keys, ends.tolist(), strict=True):
            self._places.setdefault(key.tobytes(), (flat, start, end))
            start = end

    def _add(self, keys: Sequence[bytes], tokens: Sequence[Tokens]) -> bool:
        """Compute and write states; False once the limit is reached."""
        if not keys:
            return True
        ends = np.cumsum([len(row) for row in tokens])
        try:
            if not self._has_room(int(ends[-1]) * self._split.width * 2):
                return False
            flat = np.concatenate(self._split.states(tokens))
            name = self._folder / f"{os.getpid()}-{secrets.token_hex(8)}"
            with renamed_into_place(name.with_name(name.name + _STATES)) as part:
                flat.tofile(part)
            with renamed_into_place(name.with_name(name.name + _INDEX)) as part, part.open("wb") as file:
                np.savez(file, keys=np.array([np.frombuffer(key, np.uint8) for key in keys]), ends=ends)
        except OSError:
            return False  # the disk is full, or the folder gone: states are computed as they are needed
        self._look()
        return True

    def _has_room(self, more: int) -> bool:
        used = sum(file.stat().st_size for file in self._folder.glob(f"*{_STATES}"))
        free = shutil.disk_usage(self._folder).free
        return used + more <= self._max_bytes and more <= free * _MOST_OF_DISK


def key_of(tokens: Tokens) -> bytes:
    """Name of a content: 16 bytes.

    >>> tokens = np.array([1, 2], np.int32)
    >>> key_of(tokens) == key_of(tokens.copy()), len(key_of(tokens))
    (True, 16)
    """
    return hashlib.blake2b(np.ascontiguousarray(tokens).tobytes(), digest_size=16).digest()
