"""Outliers: the same reference in whatever order rows come, the same score in whatever batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from threadpoolctl import threadpool_limits

from spark_ml_audit.config.detect import DetectConfig
from spark_ml_audit.detection import outliers
from spark_ml_audit.detection.outliers import OutlierPlan, plan_outliers
from spark_ml_audit.errors import InputError
from tests.unit.detection.rows import ingest_of

EXCLUDED = {"id", "labels"}


def made(num_rows: int = 120) -> dict[str, Any]:
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(3, 6))[rng.integers(0, 3, num_rows)] + 0.1 * rng.normal(size=(num_rows, 6))
    vectors[7] = -9 * vectors[8]
    lists: list[Any] = vectors.tolist()
    lists[3], lists[4] = None, [1.0]
    return {
        "vec.tor": pa.array(lists, pa.list_(pa.float32())),
        "price": rng.normal(size=num_rows),
        "kind": rng.choice(["a", "b"], num_rows).tolist(),
    }


def plan(ingest: Any, **wanted: Any) -> OutlierPlan:
    config = DetectConfig.parse({"outliers": wanted or True}, "detect").outliers
    assert config is not None
    return plan_outliers(ingest, config, EXCLUDED)


def scores(ingest: Any, found: OutlierPlan, size: int) -> dict[str, float]:
    finder = found.finder
    assert finder is not None
    table = ingest.engine.collect(ingest.frame.select("id", finder.carried(ingest).alias("carried")))
    scored = {}
    for batch in table.combine_chunks().to_batches(size):
        values, _ = finder.scores(batch.column("carried"))
        scored.update(zip(batch.column("id").to_pylist(), values.tolist(), strict=True))
    return scored


def test_scores_depend_on_the_row_alone(engine: Any) -> None:
    columns, tags = made(), [["red"]] * 120
    order = np.random.default_rng(0).permutation(120)
    shuffled = {name: pa.array(values).take(pa.array(order)) for name, values in columns.items()}
    shuffled["id"] = pa.array([f"r{i}" for i in order])
    ingest, other = ingest_of(engine, columns, tags), ingest_of(engine, shuffled, tags)
    features = {"embedding": ["vec.tor"], "numeric": ["price"], "categorical": ["kind"]}
    first, second = (plan(source, features=features, reference=100) for source in (ingest, other))
    assert first.notes == second.notes
    expected = scores(ingest, first, 120)
    assert {name for name, score in expected.items() if np.isnan(score)} == {"r3", "r4"}
    for found in (scores(ingest, first, 7), scores(other, second, 50)):
        np.testing.assert_array_equal([found[name] for name in expected], list(expected.values()))


def test_embeddings_are_taken_before_anything_else_and_the_odd_row_is_found(engine: Any) -> None:
    ingest = ingest_of(engine, made(), [["red"]] * 120)
    found = plan(ingest)
    assert "by vec.tor" in found.notes[-1]
    scored = scores(ingest, found, 120)
    known = {name: score for name, score in scored.items() if not np.isnan(score)}
    assert max(known, key=known.__getitem__) == "r7"


def test_rows_without_an_id_are_no_reference(engine: Any) -> None:
    columns = made()
    columns["id"] = [None if i == 7 else f"r{i}" for i in range(120)]
    found = plan(ingest_of(engine, columns, [["red"]] * 120))
    assert "117 reference rows" in found.notes[-1]  # and two have no vector


def test_too_few_rows_to_compare_are_told(engine: Any) -> None:
    columns = {"vector": pa.array([[1.0, 2.0], None], pa.list_(pa.float64()))}
    found = plan(ingest_of(engine, columns, [["red"]] * 2))
    assert found.finder is None
    assert "fewer than two rows can be compared by 'vector'" in found.warnings[0]


def test_without_features_probabilities_are_compared(engine: Any) -> None:
    found = plan(ingest_of(engine, {}, [["red"]] * 5))
    assert "pred_probs" in found.warnings[0]
    assert found.finder is not None
    assert found.finder.columns == ("pred_probs",)


def test_a_column_that_cannot_be_compared_is_named(engine: Any) -> None:
    ingest = ingest_of(engine, made(), [["red"]] * 120)
    with pytest.raises(InputError, match="'price' is double"):
        plan(ingest, features={"embedding": ["price"]})


@pytest.mark.parametrize("features", [{"text": ["kind"]}, {"embedding": ["vec.tor"]}])
def test_a_batch_of_no_rows_has_no_scores(engine: Any, features: dict[str, list[str]]) -> None:
    ingest = ingest_of(engine, made(), [["red"]] * 120)
    finder = plan(ingest, features=features).finder
    assert finder is not None
    carried = engine.collect(ingest.frame.select(finder.carried(ingest).alias("carried"))).column("carried")
    values, outlier = finder.scores(carried.combine_chunks()[:0])
    assert (len(values), len(outlier)) == (0, 0)


def test_the_number_of_threads_changes_nothing(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    words = np.array([f"word{i}" for i in range(400)])
    texts = [" ".join(rng.choice(words, 12)) for _ in range(1500)]
    ingest = ingest_of(engine, {"body": texts}, [["red"]] * 1500)
    sample = outliers._sample(ingest, ("body",), 1500)
    found = []
    for threads in (1, 2):
        # from here on, as what is read before may set a limit of its own
        monkeypatch.setattr(
            outliers, "_sample", lambda *_, most=threads: (threadpool_limits(most), sample)[1]
        )
        finder = plan(ingest, features={"text": ["body"]}).finder
        assert finder is not None
        assert finder.encoder.text is not None
        found.append(finder.encoder.text.components.tobytes())
    assert found[0] == found[1]
