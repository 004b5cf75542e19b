"""The table `vectors` of an output: vectors of contents, made once per content and encoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from spark_ml_audit.arrow.contents import (
    CONTENT,
    CONTENTS,
    HASH,
    TEXTS,
    VECTOR_FIELDS,
    Centred,
    ContentsOf,
    Encode,
    HashedContents,
    vector_matrix,
)
from spark_ml_audit.engines.base import count_rows
from spark_ml_audit.engines.columns import column
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.schemas import VECTORS
from spark_ml_audit.models.encoders.encoding import EncoderRef, column_of
from spark_ml_audit.models.images import ImageFiles

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Frame

AT_ONCE = 20_000
"""Contents whose vectors are appended in one transaction: what a killed run loses at most."""


# Vectors whose mean is taken for that of all.
_MEAN_OF = 2000


@dataclass(frozen=True)
class StoredVectors:
    """Vectors of one encoder in the table `vectors`, and the texts of a source that they are of.

    Attributes:
        tables: The output.
        encoder: What made them.
        layers: Layers that are stored.
        columns: Text columns of the source whose joined texts are the contents, or its column of images.
        images: Where these are; None for texts.
    """

    tables: OutputTables
    encoder: EncoderRef
    layers: tuple[int, ...]
    columns: tuple[str, ...]
    images: ImageFiles | None = None

    # ---- making ------------------------------------------------------------------------------------

    def num_missing(self, frame: Frame) -> int:
        """Contents of a source that have no vectors yet."""
        return count_rows(self.tables.engine, self._missing(frame, ContentsOf(self.images)).select(CONTENT))

    def fill(self, frame: Frame, run_id: str, missing: int, tell: Callable[[int], None]) -> None:
        """Make and append the vectors that are missing, `AT_ONCE` contents per transaction.

        What was appended stays, whatever becomes of the run: the next one goes on from there.

        Args:
            frame: The source.
            run_id: Of the run.
            missing: From `num_missing`.
            tell: Called after each transaction with the number of contents done.
        """
        engine, parts = self.tables.engine, math.ceil(missing / AT_ONCE)
        for part in range(parts):
            contents = self._missing(frame, ContentsOf(self.images, parts, part))
            vectors = engine.map_batches(
                contents, Encode(self.encoder, self.layers), keep=(), add=VECTOR_FIELDS
            )
            # a retry lacks fewer: its parts are others
            name = f"{self.encoder.identity[:8]}/{missing}/{part}"
            about = {"encoder": self.encoder.value, "identity": self.encoder.identity}
            self.tables.append(VECTORS, vectors, run_id, about, part=name, with_run_id=False)
            tell(missing * (part + 1) // parts)

    def _missing(self, frame: Frame, contents: ContentsOf) -> Frame:
        """Contents without vectors: content, text."""
        texts = frame.select(self._texts)
        found = self.tables.engine.map_batches(texts, contents, keep=(), add=CONTENTS)
        distinct = found.unique(subset=[CONTENT], keep="any")
        known = self._of_layer(self.layers[-1])
        return distinct if known is None else distinct.join(known.select(CONTENT), on=CONTENT, how="anti")

    @property
    def _texts(self) -> nw.Expr:
        return nw.struct(*[column(name) for name in self.columns]).alias(TEXTS)

    # ---- reading -----------------------------------------------------------------------------------

    def _of_layer(self, layer: int) -> Frame | None:
        stored = self.tables.existing(VECTORS)
        if stored is None:
            return None
        is_own = (nw.col("encoder") == self.encoder.identity) & (nw.col("layer") == layer)
        return stored.filter(is_own)

    def of_layer(self, layer: int, *, is_repeated: bool | None = None) -> Frame:
        """Columns content and vector of a layer, one row per content; an image that is not read has none.

        Args:
            layer: The layer.
            is_repeated: Whether contents may stand there twice; None: to be looked up.
        """
        found = self._of_layer(layer)
        if found is None:
            raise RuntimeError("the table of vectors is not there, though vectors were stored in it")
        if self.images is not None:
            found = found.filter(~nw.col("is_cut"))
        # two runs at once may both have made some
        if self._is_repeated if is_repeated is None else is_repeated:
            found = found.unique(subset=[CONTENT], keep="any")
        return found.select(CONTENT, "vector")

    @property
    def _is_repeated(self) -> bool:
        found = self._of_layer(self.layers[-1])
        if found is None:
            return False
        counts = found.select(nw.len().alias("rows"), nw.col(CONTENT).n_unique().alias("contents"))
        row = self.tables.engine.collect(counts).to_pylist()[0]
        return bool(row["rows"] != row["contents"])

    def num_cut(self) -> tuple[int, int]:
        """How many contents are read in part only, and how many there are, whatever the source."""
        found = self._of_layer(self.layers[-1])
        if found is None:
            return 0, 0
        counts = found.select(
            nw.col("is_cut").cast(nw.Int64).sum().alias("cut"), nw.len().cast(nw.Int64).alias("all")
        )
        row = self.tables.engine.collect(counts).to_pylist()[0]
        return int(row["cut"] or 0), int(row["all"] or 0)

    def num_unread(self, frame: Frame) -> int:
        """Rows of a source without an image, or with one that cannot be read."""
        engine = self.tables.engine
        hashed = engine.map_batches(
            frame.select(self._texts), HashedContents((), self.images), keep=(), add=_HASH
        )
        found = self._of_layer(self.layers[-1])
        if found is None:
            return count_rows(engine, hashed)
        good = found.filter(~nw.col("is_cut")).select(nw.col(CONTENT).alias("__content"))
        good = good.unique(subset=["__content"], keep="any")
        return count_rows(engine, hashed.join(good, left_on=HASH, right_on="__content", how="anti"))

    def joined(self, frame: Frame, layers: Sequence[int]) -> Frame:
        """A frame of the source, or of its predictions, with a column of vectors for each layer.

        Args:
            frame: With the text columns.
            layers: Layers wanted.
        """
        is_repeated = self._is_repeated  # what a run makes, it makes for all layers
        found = {layer: self.of_layer(layer, is_repeated=is_repeated) for layer in layers}
        return self._beside(frame, {column_of(layer): vectors for layer, vectors in found.items()})

    def compared(self, frame: Frame, layer: int, name: str) -> Frame:
        """A frame of the source with vectors to compare rows by: less their mean, which all texts share.

        Without that the cosine of any two texts may be .9: hidden states lie in a narrow cone
        (Ethayarajh 2019).

        Args:
            frame: With the text columns.
            layer: The layer.
            name: Of the column of vectors.
        """
        vectors = self.of_layer(layer)
        # the same ones whatever the engine and the layout
        some = self.tables.engine.collect(vectors.sort(CONTENT).head(_MEAN_OF)).sort_by(CONTENT)
        centre = Centred(vector_matrix(some.column("vector")).mean(axis=0, dtype=np.float64))
        vector = pa.schema([VECTOR_FIELDS.field("vector")])
        centred = self.tables.engine.map_batches(vectors, centre, keep=(CONTENT,), add=vector)
        return self._beside(frame, {name: centred})

    def _beside(self, frame: Frame, columns: Mapping[str, Frame]) -> Frame:
        engine, names = self.tables.engine, frame.collect_schema().names()
        hashed = engine.map_batches(
            frame.with_columns(self._texts), HashedContents(names, self.images), keep=tuple(names), add=_HASH
        )
        for name, found in columns.items():
            vectors = found.select(nw.col(CONTENT).alias("__content"), nw.col("vector").alias(name))
            hashed = hashed.join(vectors, left_on=HASH, right_on="__content", how="left")
        return hashed.select(*[nw.col(name) for name in (*names, *columns)])

    def some(self, contents: Any, layer: int) -> Any:
        """Arrow table of content and vector of some contents, a bounded number.

        Args:
            contents: Arrow array of hashes, each once.
            layer: The layer.
        """
        wanted = self.tables.engine.from_arrow(pa.table({"__content": contents}))
        found = self.of_layer(layer).join(wanted, left_on=CONTENT, right_on="__content", how="inner")
        return self.tables.engine.collect(found.select(CONTENT, "vector"))


_HASH = pa.schema([(HASH, pa.int64())])
