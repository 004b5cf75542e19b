"""Given labels beside their probabilities, walked through block by block by several threads.

What threads find adds up or lies row by row: nothing depends on how many there are or where blocks end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from spark_ml_audit.arrays.inputs import as_labels, as_pred_probs
from spark_ml_audit.arrays.label_lists import IntArray, LabelLists
from spark_ml_audit.arrays.row_blocks import row_blocks
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.kernels.float_keys import FloatArray
from spark_ml_audit.kernels.histogram import ProfileSpec
from spark_ml_audit.kernels.profile import ClassProfile
from spark_ml_audit.kernels.records import Records, join_records, sum_records
from spark_ml_audit.kernels.resolve import PruneOptions, Resolution, Resolver
from spark_ml_audit.kernels.resolve_counts import ResolveRequest, count_batch

Result = TypeVar("Result")
Array = TypeVar("Array", bound=npt.NDArray[Any])

# Fewer cells are done before a second thread has started.
_MIN_CELLS_PER_THREAD = 1 << 20
# More only wait for memory.
_MOST_THREADS = 16
# The probabilities are at least this many times as large as all profiles together.
_PROFILE_SHARE = 4
# Records that wait to be added up.
_MOST_RECORDS = 1 << 20


@dataclass(frozen=True)
class RowBlock:
    """Some consecutive rows.

    Attributes:
        start: First row.
        stop: First row past them.
        pred_probs: Their probabilities.
        rows: Row, counted from `start`, of each given label, ascending.
        cols: Its class, ascending within the row.
    """

    start: int
    stop: int
    pred_probs: FloatArray
    rows: IntArray
    cols: IntArray


@dataclass(frozen=True)
class Labelled:
    """Given labels beside their probabilities.

    Attributes:
        pred_probs: float32 or float64 in [0, 1], shape (n, K).
        labels: The given labels.
        threads: How many threads walk through them.
    """

    pred_probs: FloatArray
    labels: LabelLists
    threads: int = 1

    @classmethod
    def from_arguments(cls, labels: Any, pred_probs: Any, n_jobs: int | None = None) -> Labelled:
        """From what was given for the arguments `labels`, `pred_probs` and `n_jobs`.

        Raises:
            InputError: Labels or probabilities cannot be used.
            ConfigError: The number of threads is none.
        """
        probs = as_pred_probs(pred_probs)
        num_rows, num_classes = probs.shape
        given = as_labels(labels, (num_rows, num_classes))
        return cls(probs, given, number_of_threads(n_jobs, probs.size))

    def map(self, function: Callable[[RowBlock], Result]) -> Iterator[Result]:
        """What a function says of each block, in their order."""
        spans = row_blocks(self.pred_probs.shape)
        if self.threads == 1:
            yield from (function(self._block(*span)) for span in spans)
            return
        with ThreadPoolExecutor(self.threads, thread_name_prefix="spark-ml-audit-arrays") as pool:
            yield from pool.map(lambda span: function(self._block(*span)), spans)

    def _block(self, start: int, stop: int) -> RowBlock:
        return RowBlock(start, stop, self.pred_probs[start:stop], *self.labels.cells(start, stop))

    def fill(self, found: Array, function: Callable[[RowBlock], npt.NDArray[Any]]) -> Array:
        """Fill an array of n rows with what a function says of the rows of each block."""

        def put(block: RowBlock) -> None:
            found[block.start : block.stop] = function(block)

        self._each(put)
        return found

    def _each(self, function: Callable[[RowBlock], None]) -> None:
        for _ in self.map(function):
            pass

    def profile(self) -> ClassProfile:
        """Counts, sums and histograms of all rows: several profiles that take turns, and add up."""
        spec = ProfileSpec.for_classes(self.pred_probs.shape[1], self.pred_probs.dtype)
        total = ClassProfile(spec)
        # together they stay small beside the probabilities
        size = total.absent_histogram.nbytes + total.present_histogram.nbytes
        others = min(self.threads, int(self.pred_probs.nbytes / (_PROFILE_SHARE * size))) - 1
        parts = [total, *(ClassProfile(spec) for _ in range(others))]
        free: SimpleQueue[ClassProfile] = SimpleQueue()
        for part in parts:
            free.put(part)

        def add(block: RowBlock) -> None:
            part = free.get()
            try:
                part.add_batch(block.pred_probs, block.rows, block.cols)
            finally:
                free.put(part)

        self._each(add)
        for part in parts[1:]:
            total = total.merge(part)
        return total

    def resolve(self, options: PruneOptions, joint: IntArray | None = None) -> Resolution:
        """The exact cut-offs of every class.

        Args:
            options: Which cells are flagged.
            joint: Takes the place of the confident joint, shape (K, 2, 2).
        """
        resolver = Resolver(self.profile(), options, joint=joint)
        while (request := resolver.request) is not None:
            resolver.update(self._count(request))
        return resolver.resolution

    def _count(self, request: ResolveRequest) -> Records:
        waiting: list[Records] = []
        for found in self.map(
            lambda block: list(count_batch(request, block.pred_probs, block.rows, block.cols))
        ):
            waiting += found
            if sum(len(part["a"]) for part in waiting) > _MOST_RECORDS:
                waiting = [sum_records(join_records(waiting))]
        return sum_records(join_records(waiting))


def number_of_threads(n_jobs: int | None, cells: int) -> int:
    """How many threads work on so many cells.

    Args:
        n_jobs: At most this many; None for one per processor that this process may use,
            up to 16.
        cells: What there is to do.

    Raises:
        ConfigError: `n_jobs` is no number of threads.

    Example:
        >>> number_of_threads(4, cells=1000), number_of_threads(4, cells=10**9)
        (1, 4)
    """
    if n_jobs is None:
        n_jobs = min(_processors(), _MOST_THREADS)
    elif isinstance(n_jobs, bool) or not isinstance(n_jobs, int | np.integer) or n_jobs < 1:
        raise ConfigError(
            f"found {n_jobs!r}.", key="n_jobs", fix="Give a number of threads, 1 or more, or None for all."
        )
    return max(1, min(int(n_jobs), cells // _MIN_CELLS_PER_THREAD))


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
