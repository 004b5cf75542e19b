"""Texts and probabilities of the rows that are looked at, read a few dozen at a time and kept for a while."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from spark_ml_audit.app.reader import AuditReader, RowContent

_MOST_LETTERS = 24_000_000
_AHEAD = 24
"""Rows that are read together: one read of a table costs about the same for one as for these."""


class RowContents:
    """Rows by id, the last ones that were asked for, and the next ones before they are.

    Args:
        reader: Reads them.
    """

    def __init__(self, reader: AuditReader) -> None:
        self._reader = reader
        self._kept: OrderedDict[Any, RowContent | None] = OrderedDict()
        self._letters = 0
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="ahead")

    def get(self, row_id: Any, following: Sequence[Any] = ()) -> RowContent | None:
        """A row; None where the source has none of that id any more.

        Args:
            row_id: Its id.
            following: Ids that will be asked for next: read with it, or later beside other work.
        """
        with self._lock:
            known = row_id in self._kept
        if not known:
            self.read([row_id, *following[:_AHEAD]])
        elif self._missing(following[: _AHEAD // 2]):
            self._ahead.submit(self.read, list(following[:_AHEAD]))
        with self._lock:
            if row_id in self._kept:
                self._kept.move_to_end(row_id)
            return self._kept.get(row_id)

    def _missing(self, ids: Sequence[Any]) -> list[Any]:
        with self._lock:
            return [row_id for row_id in dict.fromkeys(ids) if row_id not in self._kept]

    def read(self, ids: Sequence[Any]) -> None:
        """Read those of some rows that are not known."""
        with self._reading:
            wanted = self._missing(ids)
            if not wanted:
                return
            found = self._reader.rows(wanted)
            with self._lock:
                for row_id in reversed(wanted):
                    self._keep(row_id, found.get(row_id))

    def _keep(self, row_id: Any, content: RowContent | None) -> None:
        self._kept[row_id] = content
        self._letters += _letters(content)
        while self._letters > _MOST_LETTERS and len(self._kept) > 1:
            _, old = self._kept.popitem(last=False)
            self._letters -= _letters(old)

    def close(self) -> None:
        """Stop reading ahead."""
        self._ahead.shutdown(wait=False, cancel_futures=True)


def _letters(content: RowContent | None) -> int:
    if content is None:
        return 100
    return 500 + 4 * len(content.pred_probs) + sum(len(text or "") for text in content.values.values())
