"""The passes that read rows and return class-sized results: profile and resolve.

Every pass reduces its rows to small integer records, added up by the engine. What comes back is bounded by
the number of classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spark_ml_audit.arrow.decode import DecodedBatch, decode_batches
from spark_ml_audit.arrow.layout import StatusCounts
from spark_ml_audit.engines.base import Batches
from spark_ml_audit.kernels.histogram import ProfileSpec
from spark_ml_audit.kernels.near_one import NearOne
from spark_ml_audit.kernels.profile import ClassProfile
from spark_ml_audit.kernels.records import Records, make_records
from spark_ml_audit.kernels.resolve import PruneOptions, Resolution, Resolver
from spark_ml_audit.kernels.resolve_counts import count_batch

if TYPE_CHECKING:
    from spark_ml_audit.frames.ingest import Ingest
    from spark_ml_audit.kernels.ambiguity import AmbiguityOptions

STATUS_INDEX = -1
"""class_index of records that do not belong to a class: rows by status."""


def status_records(decoded: DecodedBatch) -> Records:
    """Rows of a batch by status code."""
    codes, counts = np.unique(decoded.status, return_counts=True)
    return make_records(STATUS_INDEX, codes, counts)


def status_counts(records: Records) -> StatusCounts:
    """Rows by status, from the records of a pass."""
    chosen = records["class_index"] == STATUS_INDEX
    codes, counts = records["slot"][chosen].tolist(), records["a"][chosen].tolist()
    return StatusCounts(dict(zip(codes, counts, strict=True)))


@dataclass(frozen=True)
class Profiled:
    """What the first pass finds.

    Attributes:
        profile: Of the audited rows.
        near: Their cells near 1, counted more finely.
        rows: Rows of the source by status.
    """

    profile: ClassProfile
    near: NearOne
    rows: StatusCounts


def profile_rows(ingest: Ingest) -> Profiled:
    """First pass: the profile of the audited rows, and how many rows have each status."""
    layout = ingest.layout
    spec = ProfileSpec.for_classes(layout.num_classes, layout.dtype)

    def reduce(batches: Batches) -> Iterator[Records]:
        profile, near = ClassProfile(spec), NearOne(spec)
        for decoded in decode_batches(batches, layout):
            yield status_records(decoded)
            profile.add_batch(decoded.pred_probs, decoded.rows, decoded.cols)
            near.add_batch(decoded.pred_probs, decoded.rows, decoded.cols)
        if profile.num_rows:
            yield profile.to_records()
            yield near.to_records()

    records = ingest.engine.reduce_batches(ingest.task_frame(with_id=False), reduce)
    of_classes = records["class_index"] != STATUS_INDEX
    of_profile = {name: column[of_classes] for name, column in records.items()}
    near = NearOne.from_records(spec, of_profile)
    return Profiled(ClassProfile.from_records(spec, of_profile), near, status_counts(records))


def resolve_rows(
    ingest: Ingest, profile: ClassProfile, options: PruneOptions, ambiguity: AmbiguityOptions
) -> Resolution:
    """Further passes until every cut-off is exact: one as a rule, more for crowded values."""
    layout, frame = ingest.layout, ingest.task_frame(with_id=False)
    resolver = Resolver(profile, options, ambiguity)
    while (request := resolver.request) is not None:

        def reduce(batches: Batches, request: Any = request) -> Iterator[Records]:
            for decoded in decode_batches(batches, layout):
                yield from count_batch(request, decoded.pred_probs, decoded.rows, decoded.cols)

        resolver.update(ingest.engine.reduce_batches(frame, reduce))
    return resolver.resolution
