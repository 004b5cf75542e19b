"""By which columns rows are compared with each other: an embedding, else text, else other features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spark_ml_audit.arrow.encode import embedding_vectors
from spark_ml_audit.arrow.lists import lengths_of
from spark_ml_audit.arrow.types import type_name
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.features import find_features, to_pandas
from spark_ml_audit.models.features import FeatureSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from spark_ml_audit.frames.ingest import Ingest
    from spark_ml_audit.models.design import Float32Array
    from spark_ml_audit.outcomes.runs import FinishedRun

_EMBEDDINGS = ("array<float>", "array<double>")
# Columns of predictions that say nothing of a row's content.
_PREDICTED = {"fold", "pred_probs"}


@dataclass(frozen=True)
class Fetched:
    """Rows in the order of the hashes of their ids.

    Attributes:
        ids: Arrow array.
        hashes: Of the ids, shape (n,).
        probs: Shape (n, K); of labelled rows not known.
        values: Arrow struct of the compared columns; None without any.
    """

    ids: Any
    hashes: npt.NDArray[np.int64]
    probs: npt.NDArray[np.float64]
    values: Any


@dataclass(frozen=True)
class Compared:
    """The columns by which rows are compared.

    Attributes:
        spec: Of one sort; None: rows cannot be compared.
        notes: Sentences on them.
    """

    spec: FeatureSpec | None
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Their names, in the order in which they travel."""
        return () if self.spec is None else self.spec.columns

    def vectors(
        self, candidates: Fetched, labelled: Fetched
    ) -> tuple[Float32Array | None, Float32Array | None]:
        """Vectors of candidates and of labelled rows, by a scale that the latter (else the former) give.

        Candidates that hold nothing to compare get the zero vector, the same for all.
        """
        if self.spec is None or not len(candidates.ids):
            return None, None
        from threadpoolctl import threadpool_limits

        from spark_ml_audit.models.vectors import VectorEncoder, most_common_width

        known = labelled if len(labelled.ids) > 1 else candidates
        others, own = self._arrays(candidates.values), self._arrays(known.values)
        widths = {name: most_common_width(lengths_of(own[name])) for name in self.spec.embedding}
        plain = [name for name in self.columns if name not in self.spec.embedding]
        with threadpool_limits(limits=1):  # how BLAS rounds depends on the number of threads
            encoder = VectorEncoder.fit(_frame(own, plain, len(known.ids)), self.spec, widths)
        parts = []
        for arrays, rows in ((others, candidates), (own, known)):
            embeddings = {name: embedding_vectors(arrays[name], width) for name, width in widths.items()}
            found, usable = encoder.transform(_frame(arrays, plain, len(rows.ids)), embeddings)
            parts.append((found, usable))
        (vectors, _), (near, usable) = parts
        return vectors, near[usable] if known is labelled else None

    def _arrays(self, values: Any) -> dict[str, Any]:
        return dict(zip(self.columns, values.flatten(), strict=True))


def _frame(arrays: Mapping[str, Any], names: Sequence[str], num_rows: int) -> Any:
    import pandas as pd

    if not names:
        return pd.DataFrame(index=range(num_rows))
    return to_pandas(pa.table([arrays[name] for name in names], names=list(names)))


def compared_columns(run: FinishedRun, ingest: Ingest) -> Compared:
    """Find them in an audited source, as the run's features where it names any.

    Args:
        run: The audit.
        ingest: Its source.
    """
    layout, told = ingest.layout, run.config["source"]
    group = told.get("group")
    exclude = {layout.id, *layout.labels, *layout.pred_probs, *_PREDICTED, *([group] if group else [])}
    found = [
        item.name
        for item in ingest.schema
        if type_name(item.type) in _EMBEDDINGS and item.name not in exclude
    ]
    notes: list[str] = []
    try:
        source = (ingest.engine, ingest.frame, ingest.schema)
        wanted = told.get("features") or "auto"
        spec = find_features(*source, wanted, layout.id, exclude, notes).spec
    except InputError:
        spec = FeatureSpec(embedding=tuple(found))
    embedding = spec.embedding or tuple(found)
    if embedding:
        chosen: FeatureSpec | None = FeatureSpec(embedding=embedding)
    elif spec.text:
        chosen = FeatureSpec(text=spec.text)
    else:
        chosen = spec if spec.columns else None
    if chosen is None:
        return Compared(
            None,
            (
                "Novelty was not looked at: the source has no embedding, text or other feature column, so "
                "that near-copies may lie in one sample.",
            ),
        )
    return Compared(chosen, (f"Novelty was looked at by {', '.join(chosen.columns)}.",))
