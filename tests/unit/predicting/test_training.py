"""Which rows go to which model."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from spark_ml_audit.arrow.decode import decode
from spark_ml_audit.arrow.layout import InputLayout
from spark_ml_audit.predicting.folds import FoldPlan, SamplePlan
from spark_ml_audit.predicting.training import FINAL, _rows_of_models

LAYOUT = InputLayout("id", ("tags",), "names", ",", (), "none", "float32", ("a", "b"))


def test_a_row_goes_to_the_models_of_the_folds_it_is_not_in_and_to_the_final_one() -> None:
    ids = pa.array([f"r{i}" for i in range(60)])
    keys = pa.StructArray.from_arrays([ids], ["id"])
    features = pa.StructArray.from_arrays([pa.array(range(60))], ["x"])
    carried = pa.StructArray.from_arrays([keys, features], ["keys", "features"])
    # every fifth row is not usable, every tenth without tags
    tags = [["unknown"] if i % 5 == 0 else [] if i % 10 == 1 else ["a", "b"][: 1 + i % 2] for i in range(60)]
    columns = {"fault": [0] * 60, "labels_0": tags, "carried": carried}
    decoded = decode(pa.RecordBatch.from_pydict(columns), LAYOUT)
    plan, sample = FoldPlan(3, 0, "id"), SamplePlan(1.0, np.ones(2))
    batches = list(_rows_of_models(decoded, [0, 2, FINAL], plan, sample, None))
    folds = plan.folds(keys)
    given = {i: [["a", "b"].index(tag) for tag in tags[i]] for i in range(60) if i % 5}
    for model, batch in zip([0, 2, FINAL], batches, strict=True):
        assert set(batch.column("model").to_pylist()) == {model}
        found = {
            row["features"]["x"]: row_tags
            for row, row_tags in zip(
                batch.column("carried").to_pylist(), batch.column("tags").to_pylist(), strict=True
            )
        }
        assert found == {i: tags for i, tags in given.items() if folds[i] != model}
        places = list(found)
        assert batch.column("order_key").to_pylist() == plan.order_keys(keys)[places].tolist()
