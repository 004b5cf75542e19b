"""By which columns rows are compared with each other: an embedding, else text, else other features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from spark_ml_audit.arrow.encode import embedding_vectors
from spark_ml_audit.arrow.lists import lengths_of
from spark_ml_audit.engines.base import rows_of
from spark_ml_audit.engines.columns import names_of
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.comparable import embedding_columns, not_compared
from spark_ml_audit.frames.features import find_features, to_pandas
from spark_ml_audit.lake.schemas import RUNS
from spark_ml_audit.models.features import FeatureSpec
from spark_ml_audit.outcomes.features import FeatureUse
from spark_ml_audit.reviewing.stored import has_vectors, stored_vectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from spark_ml_audit.frames.ingest import Ingest
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.models.design import Float32Array
    from spark_ml_audit.outcomes.runs import FinishedRun

_NOTHING = (
    "Novelty was not looked at: the source has no embedding, text or other feature column, so that "
    "near-copies may lie in one sample."
)


@dataclass(frozen=True)
class Fetched:
    """Rows in the order of the hashes of their ids.

    Attributes:
        ids: Arrow array.
        hashes: Of the ids, shape (n,).
        probs: Shape (n, K); of labelled rows not known.
        values: Arrow struct of the compared columns; None without any.
        contents: Arrow array of hashes of their texts, where vectors of texts are stored; else None.
    """

    ids: Any
    hashes: npt.NDArray[np.int64]
    probs: npt.NDArray[np.float64]
    values: Any
    contents: Any = None


@dataclass(frozen=True)
class Vectors:
    """What rows are compared by.

    Attributes:
        candidates: Of the candidates, shape (n, d); None: they cannot be compared.
        labelled: Of labelled rows, shape (m, d).
        told: A sentence on them.
    """

    candidates: Float32Array | None
    labelled: Float32Array | None
    told: str


@dataclass(frozen=True)
class Compared:
    """The columns by which rows are compared.

    Attributes:
        spec: Of one sort; None: rows cannot be compared.
        is_stored: Whether the output holds vectors, perhaps of these texts.
    """

    spec: FeatureSpec | None
    is_stored: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Their names, in the order in which they travel."""
        return () if self.spec is None else self.spec.columns

    @property
    def has_contents(self) -> bool:
        """Whether texts are to be hashed, as vectors of them may be stored."""
        return self.is_stored and self.spec is not None and self.columns == self.spec.text

    def vectors(self, candidates: Fetched, labelled: Fetched, tables: OutputTables) -> Vectors:
        """Vectors of candidates and of labelled rows, by a scale that the latter (else the former) give.

        Candidates that hold nothing to compare get the zero vector, the same for all.
        """
        if self.spec is None or not len(candidates.ids):
            return Vectors(None, None, _NOTHING)
        told, number = ", ".join(self.columns), len(candidates.ids)
        if self.has_contents:
            both = pa.concat_arrays([candidates.contents, labelled.contents])
            if (stored := stored_vectors(tables, both)) is not None:
                from spark_ml_audit.models.vectors import unit_vectors

                vectors = unit_vectors(stored.vectors)
                near = vectors[number:]
                near = near[np.flatnonzero(np.any(near, axis=1))]
                said = f"Novelty was looked at by the stored vectors of {told} (layer {stored.layer})."
                return Vectors(vectors[:number], near, said)
        return Vectors(*self._encoded(self.spec, candidates, labelled), f"Novelty was looked at by {told}.")

    def _encoded(
        self, spec: FeatureSpec, candidates: Fetched, labelled: Fetched
    ) -> tuple[Float32Array, Float32Array | None]:
        from threadpoolctl import threadpool_limits

        from spark_ml_audit.models.vectors import VectorEncoder, most_common_width

        known = labelled if len(labelled.ids) > 1 else candidates
        others, own = self._arrays(candidates.values), self._arrays(known.values)
        widths = {name: most_common_width(lengths_of(own[name])) for name in spec.embedding}
        plain = [name for name in self.columns if name not in spec.embedding]
        with threadpool_limits(limits=1):  # how BLAS rounds depends on the number of threads
            encoder = VectorEncoder.fit(_frame(own, plain, len(known.ids)), spec, widths)
        parts = []
        for arrays, rows in ((others, candidates), (own, known)):
            embeddings = {name: embedding_vectors(arrays[name], width) for name, width in widths.items()}
            parts.append(encoder.transform(_frame(arrays, plain, len(rows.ids)), embeddings))
        (vectors, _), (near, usable) = parts
        return vectors, near[usable] if known is labelled else None

    def _arrays(self, values: Any) -> dict[str, Any]:
        return dict(zip(self.columns, values.flatten(), strict=True))


def _frame(arrays: Mapping[str, Any], names: Sequence[str], num_rows: int) -> Any:
    import pandas as pd

    if not names:
        return pd.DataFrame(index=range(num_rows))
    return to_pandas(pa.table([arrays[name] for name in names], names=list(names)))


def compared_columns(run: FinishedRun, tables: OutputTables, ingest: Ingest) -> Compared:
    """Find them in an audited source, among the run's features where it learned from any.

    Args:
        run: The audit.
        tables: Its output.
        ingest: Its source.
    """
    layout, told = ingest.layout, run.config["source"]
    exclude = not_compared(layout, told.get("group"))
    found = embedding_columns(ingest.schema, exclude)
    try:
        source = (ingest.engine, ingest.frame, ingest.schema)
        wanted = _learned_from(run, tables) or told.get("features") or "auto"
        spec = find_features(*source, wanted, layout.id, exclude, []).spec
    except InputError:
        spec = FeatureSpec(embedding=found)
    embedding = spec.embedding or found
    if embedding:
        return Compared(FeatureSpec(embedding=embedding))
    if spec.text:
        return Compared(FeatureSpec(text=spec.text), has_vectors(tables))
    return Compared(spec if spec.columns else None)


def _learned_from(run: FinishedRun, tables: OutputTables) -> Mapping[str, Sequence[str]]:
    """Kind -> columns that the run's own models learned from; none where its probabilities were given."""
    own = tables.read(RUNS).filter(nw.col("run_id") == run.run_id)
    if "features" not in names_of(own):  # of an older version
        return {}
    row = rows_of(tables.engine, own.select("features").head(1))
    return FeatureUse.from_json(row[0]["features"] if row else None).features
