"""Settings of torch that hold for a whole process, while several of its threads compute.

The first who asks for one sets it, the last puts back what was there: else the first to end would change it
under the others, and the last would leave it as it is.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class _Setting:
    """A setting, and how many hold it."""

    def __init__(self, read: Callable[[Any], Any], write: Callable[[Any, Any], None], wanted: Any) -> None:
        self._read, self._write, self._wanted = read, write, wanted
        self._lock = threading.Lock()
        self._holders = 0
        self._before: Any = None

    @contextmanager
    def held(self, torch: Any) -> Iterator[None]:
        with self._lock:
            self._holders += 1
            if self._holders == 1:
                self._before = self._read(torch)
                self._write(torch, self._wanted)
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if not self._holders:
                    self._write(torch, self._before)


def _precision(torch: Any, value: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.set_float32_matmul_precision(value)


def _strictness(torch: Any) -> tuple[bool, bool]:
    warns: bool = torch.is_deterministic_algorithms_warn_only_enabled()
    return torch.are_deterministic_algorithms_enabled(), warns


_THREADS = _Setting(
    lambda torch: torch.get_num_threads(), lambda torch, number: torch.set_num_threads(number), 1
)
_PRECISION = _Setting(lambda torch: torch.get_float32_matmul_precision(), _precision, "highest")
_DETERMINISTIC = _Setting(
    _strictness,
    lambda torch, value: torch.use_deterministic_algorithms(value[0], warn_only=value[1]),
    (True, True),
)


def one_thread(torch: Any) -> Any:
    """One thread of torch for each caller; a context. Engines call from a thread per core."""
    return _THREADS.held(torch)


def full_precision(torch: Any) -> Any:
    """Products in float32 as it is, whatever the process or the GPU would do by default; a context."""
    return _PRECISION.held(torch)


def deterministic(torch: Any) -> Any:
    """Operations with one result alone, where torch has such; a context."""
    return _DETERMINISTIC.held(torch)
