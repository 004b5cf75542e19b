"""A function on groups of rows, groups in processes beside each other, each with a share of the threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from spark_ml_audit.errors import AuditError

if TYPE_CHECKING:
    from spark_ml_audit.engines.limits import Limits

# Rows of all groups that are not worth a process.
_FEW_ROWS = 20_000
GroupFunction = Callable[[int, pa.Table], pa.Table]


def run_in_processes(
    function: GroupFunction, files: Mapping[int, Sequence[str]], schema: pa.Schema, limits: Limits
) -> pa.Table:
    """Call a function for every group.

    Args:
        function: Of a group and its rows. Its attribute `few_rows`, if it has one, is how many rows of all
            groups are not worth a process.
        files: Group -> Parquet files of its rows; groups without rows are left out.
        schema: What the function gives.
        limits: How many processes.

    Raises:
        AuditError: A process was killed.
    """
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky import get_reusable_executor
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    groups = {number: list(paths) for number, paths in files.items() if paths}
    # a process imports for a second or two before it begins
    num_rows = sum(pq.read_metadata(path).num_rows for paths in groups.values() for path in paths)
    is_small = num_rows < getattr(function, "few_rows", _FEW_ROWS)
    jobs = 1 if is_small else max(1, min(limits.threads, len(groups)))
    try:
        with parallel_config(backend="loky", inner_max_num_threads=max(1, limits.threads // jobs)):
            parts: list[Any] = Parallel(n_jobs=jobs)(
                delayed(_run_group)(function, number, paths) for number, paths in groups.items()
            )
    except TerminatedWorkerError as error:
        raise AuditError(
            "a process that trained a model was killed, most likely for want of memory.",
            key="engine.memory",
            fix="Give the machine more memory, or set model.max_train_rows lower.",
        ) from error
    finally:
        if jobs > 1:
            get_reusable_executor().shutdown(wait=True, kill_workers=True)
    return pa.concat_tables([pa.ipc.open_stream(part).read_all() for part in parts] or [schema.empty_table()])


def _run_group(function: GroupFunction, number: int, paths: Sequence[str]) -> bytes:
    rows = pa.concat_tables([pq.read_table(path, partitioning=None) for path in paths])
    found = function(number, rows)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, found.schema) as writer:
        writer.write_table(found)
    payload: bytes = sink.getvalue().to_pybytes()
    return payload
