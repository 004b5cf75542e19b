"""The table that is audited: deterministic, with calibrated probabilities, forgotten and wrong tags."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from joblib import Parallel, delayed

NUM_FILES = 8
# Larger tables have more files instead, written beside each other.
_FILE_ROWS = 1_000_000
TAGS_PER_ROW = 3.0
# Share of the given tags that annotators forgot, and as many wrong ones for each class.
FORGOTTEN = 0.03
_SEED = 20220611
_MOST_COMMON = 0.5
# Beta(m * c, (1 - m) * c) around a class's prevalence m: small c makes a confident model.
_CONCENTRATION = 1.5
# Models rarely say exactly 0 or 1, and Beta draws of rare classes would underflow to it.
_MARGIN = 1e-4
_CHUNK_CELLS = 1 << 23


def class_names(num_classes: int) -> list[str]:
    """Tag names in the order of the probabilities."""
    return [f"topic::{k:04d}" for k in range(num_classes)]


def row_id(row: int) -> str:
    """Id of a row; the row's number can be read from it (see `row_of`)."""
    return f"item-{row:010d}"


def row_of(ids: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Row numbers of ids."""
    rows: npt.NDArray[np.int64] = pc.utf8_slice_codeunits(ids, 5).cast(pa.int64()).to_numpy()
    return rows


def parquet_files(folder: Path) -> list[str]:
    """Data files of a generated table, in row order."""
    return sorted(str(path) for path in folder.glob("part-*.parquet"))


def write_table(folder: Path, num_rows: int, num_classes: int, dtype: str) -> None:
    """Write the table as Parquet files: id, labels (tag names), pred_probs, and nothing else."""
    folder.mkdir(parents=True)
    bounds = np.linspace(0, num_rows, max(NUM_FILES, num_rows // _FILE_ROWS) + 1).astype(int)
    Parallel(n_jobs=-1 if num_rows > NUM_FILES * _FILE_ROWS else 1)(
        delayed(_write_file)(folder / f"part-{number:05d}.parquet", number, first, end, num_classes, dtype)
        for number, (first, end) in enumerate(pairwise(bounds.tolist()))
    )


def _write_file(path: Path, number: int, first: int, end: int, num_classes: int, dtype: str) -> None:
    value_type = pa.float32() if dtype == "float32" else pa.float64()
    schema = pa.schema(
        [("id", pa.string()), ("labels", pa.list_(pa.string())), ("pred_probs", pa.list_(value_type))]
    )
    prevalence = prevalence_of(num_classes)
    names = pa.array(class_names(num_classes))
    step = max(1, _CHUNK_CELLS // num_classes)
    rng = np.random.default_rng([_SEED, num_classes, number])
    with pq.ParquetWriter(path, schema, compression="snappy", use_dictionary=["labels"]) as writer:
        for start in range(first, end, step):
            stop = min(start + step, end)
            given, probs = draw_rows(rng, prevalence, stop - start)
            batch = [_ids(start, stop), tag_lists(given, names), _lists(probs.astype(dtype))]
            writer.write_table(pa.table(batch, schema=schema))


def prevalence_of(num_classes: int) -> npt.NDArray[np.float64]:
    """Shares that fall off like those of real tags and add up to the tags per row."""
    share = 1 / np.arange(2.0, num_classes + 2) ** 0.8
    for _ in range(50):
        share = np.minimum(share * TAGS_PER_ROW / share.sum(), _MOST_COMMON)
    order: npt.NDArray[np.int64] = np.random.default_rng(_SEED).permutation(num_classes)
    return share[order]


def draw_rows(
    rng: np.random.Generator, prevalence: npt.NDArray[np.float64], num_rows: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """Given tags and probabilities of some rows, shape (n, K) each."""
    shape = (num_rows, len(prevalence))
    probs = rng.beta(prevalence * _CONCENTRATION, (1 - prevalence) * _CONCENTRATION, size=shape)
    probs = _MARGIN + (1 - 2 * _MARGIN) * probs
    truth = rng.random(shape) < probs
    error_rate = np.where(truth, FORGOTTEN, FORGOTTEN * prevalence / (1 - prevalence))
    return truth ^ (rng.random(shape) < error_rate), probs


def _ids(start: int, stop: int) -> pa.Array:
    return pa.array([row_id(row) for row in range(start, stop)])


def tag_lists(given: npt.NDArray[np.bool_], names: pa.Array) -> pa.Array:
    offsets = np.zeros(len(given) + 1, dtype=np.int32)
    np.cumsum(given.sum(axis=1), out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), names.take(pa.array(np.nonzero(given)[1])))


def _lists(values: npt.NDArray[np.floating]) -> pa.Array:
    num_rows, width = values.shape
    offsets = np.arange(num_rows + 1, dtype=np.int32) * np.int32(width)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.ravel()))


def read_labels(folder: Path, num_classes: int) -> tuple[list[list[int]], npt.NDArray[np.floating]]:
    """The whole table as cleanlab takes it: lists of class indices, and probabilities of shape (N, K)."""
    table = pq.read_table(parquet_files(folder), columns=["labels", "pred_probs"])
    probs = pc.list_flatten(table.column("pred_probs")).to_numpy().reshape(-1, num_classes)
    lists = table.column("labels")
    lengths = pc.list_value_length(lists).to_numpy()
    names = pa.array(class_names(num_classes))
    flat = pc.index_in(pc.list_flatten(lists), value_set=names).to_numpy().tolist()
    ends = np.cumsum(lengths).tolist()
    labels = [flat[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    return labels, probs
