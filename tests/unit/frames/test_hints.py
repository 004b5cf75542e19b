"""What is said of sources with the mistakes that people make, and that nothing is said of good ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from spark_ml_audit.arrow.layout import InputLayout
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.hints import Hint, hints_of
from spark_ml_audit.frames.hints.class_names import class_list_fix
from spark_ml_audit.frames.hints.columns import likely_column, source_field
from tests.datasets import make_dataset

CLASSES = ("wood", "stone", "glass", "paper")


def rows_of(labels: Any, probs: Any) -> pa.Table:
    return pa.table({"labels": labels, "p": pa.array(list(probs))})


def layout_of(labels_format: str = "names", classes: Sequence[str] = CLASSES, **changes: Any) -> InputLayout:
    values = {"labels_delimiter": ",", "pred_probs": ("p",), "pred_probs_format": "array"} | changes
    return InputLayout(
        id="id",
        labels=("labels",),
        labels_format=labels_format,
        dtype="float64",
        classes=tuple(classes),
        **values,
    )


def good(num_rows: int = 400) -> tuple[list[list[str]], npt.NDArray[np.float64]]:
    """Tags, and probabilities that know them fairly well."""
    random = np.random.default_rng(1)
    given = random.random((num_rows, len(CLASSES))) < 0.35
    probs = np.clip(0.25 + 0.4 * given + 0.2 * random.normal(size=given.shape), 0.01, 0.99)
    return [[tag for tag, has in zip(CLASSES, row, strict=True) if has] for row in given], probs


TAGS, PROBS = good()


def the_hint(labels: Any, probs: Any, layout: InputLayout) -> Hint:
    (found,) = hints_of(rows_of(labels, probs), layout)
    return found


def test_nothing_is_said_of_sources_that_are_as_they_should_be() -> None:
    indices = [[CLASSES.index(tag) for tag in tags] for tags in TAGS]
    one_hot = [[int(tag in tags) for tag in CLASSES] for tags in TAGS]
    texts = [", ".join(tags) for tags in TAGS]
    for labels, labels_format in (
        (TAGS, "names"),
        (indices, "indices"),
        (one_hot, "multi_hot"),
        (texts, "delimited"),
    ):
        assert hints_of(rows_of(labels, PROBS), layout_of(labels_format)) == (), labels_format
    assert hints_of(rows_of(TAGS, PROBS).slice(0, 0), layout_of()) == ()
    some_null = [None, *TAGS[1:]]
    assert hints_of(rows_of(some_null, [None, *PROBS[1:].tolist()]), layout_of()) == ()


@pytest.mark.parametrize("kind", ["plain", "quantised", "forest"])
def test_nothing_is_said_of_made_up_data(kind: str) -> None:
    data = make_dataset(2, kind, "float32")
    num_classes = data.pred_probs.shape[1]
    labels = pa.array([list(map(int, tags)) for tags in data.labels], pa.list_(pa.int64()))
    layout = layout_of("indices", [f"c{k}" for k in range(num_classes)])
    assert hints_of(rows_of(labels, data.pred_probs), layout) == ()


@pytest.mark.parametrize("delimiter", [";", "|", "\t", "/"])
def test_another_delimiter_is_told_with_the_setting_that_mends_it(delimiter: str) -> None:
    texts = [delimiter.join(tags) for tags in TAGS]
    hint = the_hint(texts, PROBS, layout_of("delimited"))
    assert hint.settings == {"source.labels_delimiter": delimiter}
    alone, given = sum(len(tags) == 1 for tags in TAGS), sum(map(bool, TAGS))
    assert "100% of them are classes then" in hint.found
    assert f"split at ',' {100 * alone / given:.0f}%" in hint.found
    assert hint.is_serious
    mended = layout_of("delimited", labels_delimiter=delimiter)
    assert hints_of(rows_of(texts, PROBS), mended) == ()


def test_a_delimiter_is_seen_where_the_classes_are_the_texts_themselves() -> None:
    """As `predict` finds them."""
    texts = [";".join(tags) for tags in TAGS]
    layout = layout_of("delimited", sorted(set(texts) - {""}), pred_probs=(), pred_probs_format="none")
    (hint,) = hints_of(pa.table({"labels": texts}), layout)
    assert hint.settings == {"source.labels_delimiter": ";"}
    assert f"4 different tags then instead of {len(set(texts)) - 1}" in hint.found


def test_lists_of_texts_with_several_tags_are_to_be_split() -> None:
    hint = the_hint([[";".join(tags)] if tags else [] for tags in TAGS], PROBS, layout_of())
    assert (hint.kind, hint.key, dict(hint.settings)) == ("delimiter", "source.labels", {})
    assert "tag.split(';')" in hint.mend


@pytest.mark.parametrize(
    ("change", "said", "mend"),
    [
        (str.upper, "in another case: '", "tag.lower()"),
        (str.title, "in another case", "tag.lower()"),
        (lambda tag: f" {tag} ", "with blanks around them", "tag.strip()"),
        (lambda tag: tag.title() + " ", "in another case and with blanks around them", "class list"),
    ],
)  # fmt: skip
def test_tags_spelled_otherwise_than_the_classes(change: Any, said: str, mend: str) -> None:
    labels = [[change(tag) for tag in tags] for tags in TAGS]
    hint = the_hint(labels, PROBS, layout_of())
    total = sum(map(len, TAGS))
    assert hint.found.startswith(
        f"None of the {total} tags of all 400 rows is among the 4 classes, but 100% of them are"
    )
    assert said in hint.found
    assert mend in hint.mend
    assert hint.is_serious
    if hint.settings:  # in the tags' spelling, in the same order
        classes = hint.settings["source.classes"]
        assert hints_of(rows_of(labels, PROBS), layout_of(classes=classes)) == ()  # type: ignore[arg-type]


def test_separators_and_unicode_forms() -> None:
    classes = ("sea side", "café au lait")
    tags = [["sea_side"], ["cafe\u0301 au lait"], ["sea-side"]] * 10
    probs = [[0.9, 0.1], [0.2, 0.7], [0.6, 0.3]] * 10
    hint = the_hint(tags, probs, layout_of(classes=classes))
    assert "100% of them are, in another case and with other separators" in hint.found


def test_the_share_of_tags_spelled_otherwise_is_the_true_one() -> None:
    labels = [[tag.upper() if i % 4 else tag for tag in tags] for i, tags in enumerate(TAGS)]
    labels[1] = ["nowhere"]
    hint = the_hint(labels, PROBS, layout_of())
    flat = [tag for tags in labels for tag in tags]
    unknown = [tag for tag in flat if tag not in CLASSES]
    share = 100 * (len(unknown) - 1) / len(unknown)
    assert f"{len(unknown)} of the {len(flat)} tags of all 400 rows are not among" in hint.found
    assert ">99%" in hint.found if share > 99 else f"{share:.0f}%" in hint.found
    assert not hint.is_serious
    assert not hint.settings


def test_codes_where_names_are_expected_and_names_where_codes_are() -> None:
    codes = [[str(CLASSES.index(tag)) for tag in tags] for tags in TAGS]
    hint = the_hint(codes, PROBS, layout_of())
    assert (hint.kind, hint.key) == ("codes", "source.labels")
    hint = the_hint(TAGS, PROBS, layout_of(classes=("0", "1", "2", "3")))
    assert (hint.kind, hint.key) == ("codes", "source.classes")
    far = [[1000 + CLASSES.index(tag) for tag in tags] for tags in TAGS]
    hint = the_hint(far, PROBS, layout_of("indices"))
    assert hint.kind == "codes"
    assert "(1000 to 1003)" in hint.found
    from_one = [[CLASSES.index(tag) + 1 for tag in tags] for tags in TAGS]
    hint = the_hint(from_one, PROBS, layout_of("indices"))
    assert hint.kind == "counted_from_one"
    assert "go from 1 to 4" in hint.found


@pytest.mark.parametrize(
    ("labels", "labels_format", "kind"),
    [
        (pa.array([[]] * 30, pa.list_(pa.string())), "names", "no_tags"),
        (pa.array([[]] * 30, pa.list_(pa.int64())), "indices", "no_tags"),
        (pa.array(["", " "] * 15), "delimited", "no_tags"),
        (pa.array([[0, 0, 0, 0]] * 30), "multi_hot", "no_tags"),
        (pa.array([None] * 30, pa.list_(pa.string())), "names", "unlabelled"),
    ],
)  # fmt: skip
def test_rows_without_any_tag(labels: Any, labels_format: str, kind: str) -> None:
    hint = the_hint(labels, PROBS[:30], layout_of(labels_format))
    assert hint.kind == kind
    assert "all 30 rows" in hint.found


LOGITS = np.log(PROBS / (1 - PROBS))


@pytest.mark.parametrize(
    ("probs", "kind", "undone"),
    [
        (PROBS * 100, "percentages", lambda p: p / 100),
        (LOGITS, "logits", lambda p: 1 / (1 + np.exp(-p))),
        (np.log(PROBS), "log_probabilities", np.exp),
        (PROBS * 1.0005 + (PROBS > 0.98) * 0.0101, "rounding", lambda p: np.clip(p, 0, 1)),
        (2 * PROBS - 1, "scores", None),
        (PROBS * 700, "scores", None),
    ],
)  # fmt: skip
def test_values_that_are_no_probabilities(probs: Any, kind: str, undone: Any) -> None:
    hint = the_hint(TAGS, probs, layout_of())
    outside = int((probs < 0).sum()) or int((probs > 1).sum())
    assert hint.kind == kind
    assert hint.found.startswith(f"{outside:,} of 1,600 values of column 'p' are ")
    assert f"({probs.min():.4g} to {probs.max():.4g})" in hint.found
    if undone is not None:
        assert hints_of(rows_of(TAGS, undone(probs)), layout_of()) == ()


@pytest.mark.parametrize("how", ["columns", "map"])
def test_percentages_in_columns_and_maps(how: str) -> None:
    if how == "columns":
        names = tuple(f"p_{tag}" for tag in CLASSES)
        table = pa.table({"labels": TAGS, **{name: PROBS[:, k] * 100 for k, name in enumerate(names)}})
        layout = layout_of(pred_probs=names, pred_probs_format="columns")
    else:
        maps = [list(zip(CLASSES, row, strict=True)) for row in (PROBS * 100).tolist()]
        table = pa.table({"labels": TAGS, "p": pa.array(maps, pa.map_(pa.string(), pa.float64()))})
        layout = layout_of(pred_probs_format="map")
    (hint,) = hints_of(table, layout)
    assert hint.kind == "percentages"


def test_probabilities_that_say_nothing_of_their_own() -> None:
    given = np.array([[float(tag in tags) for tag in CLASSES] for tags in TAGS])
    assert the_hint(TAGS, given, layout_of()).kind == "equal_labels"
    assert the_hint(TAGS, (PROBS > 0.4).astype(float), layout_of()).kind == "decisions"
    assert the_hint(TAGS, 0.1 + 0.8 * given + 0.01 * PROBS, layout_of()).kind == "in_sample"
    assert the_hint(TAGS, np.tile(PROBS.mean(axis=0), (400, 1)), layout_of()).kind == "constant"
    # of a few rows chance may have brought it about
    assert hints_of(rows_of(TAGS[:30], (0.1 + 0.8 * given)[:30]), layout_of()) == ()


def test_one_label_per_row_is_a_warning_only_where_rows_have_several() -> None:
    sums_to_one = PROBS / PROBS.sum(axis=1, keepdims=True)
    hint = the_hint(TAGS, sums_to_one, layout_of())
    assert (hint.kind, hint.is_serious) == ("sum_to_one", False)
    others = sum(len(tags) != 1 for tags in TAGS)
    assert f"but {100 * others / 400:.0f}% of these rows have no tag or several" in hint.found
    single = [[CLASSES[k]] for k in sums_to_one.argmax(axis=1)]
    assert "sum_to_one" not in [hint.kind for hint in hints_of(rows_of(single, sums_to_one), layout_of())]


def test_classes_in_another_order() -> None:
    in_order = tuple(sorted(CLASSES))
    as_sorted = PROBS[:, [CLASSES.index(tag) for tag in in_order]]
    hint = the_hint(TAGS, as_sorted, layout_of())
    assert hint.settings == {"source.classes": list(in_order)}
    assert hints_of(rows_of(TAGS, as_sorted), layout_of(classes=in_order)) == ()
    # no order by name, but one that fits
    hint = the_hint(TAGS, PROBS[:, [1, 2, 3, 0]], layout_of())
    assert hint.kind == "class_order"
    assert "that of 'paper' fits 'wood'" in hint.found
    # a model that knows nothing fits no order
    random = np.random.default_rng(3).random(PROBS.shape)
    assert hints_of(rows_of(TAGS, random), layout_of()) == ()


@pytest.mark.parametrize(
    ("columns", "key", "name", "expected"),
    [
        ({"ID": pa.string(), "labels": pa.list_(pa.string())}, "source.id", "id", "ID"),
        ({"film_id": pa.int64(), "year": pa.int64()}, "source.id", "id", "film_id"),
        ({"price": pa.float64(), "text": pa.string()}, "source.id", "id", None),
        ({"text": pa.string(), "genres": pa.list_(pa.string())}, "source.labels", "labels", "genres"),
        ({"what": pa.list_(pa.string()), "v": pa.list_(pa.float32())}, "source.labels", "labels", "what"),
        ({"text": pa.string(), "Tags": pa.string()}, "source.labels", "labels", "Tags"),
        ({"probabilities": pa.list_(pa.float32())}, "source.pred_probs", "pred_probs", "probabilities"),
        ({"scores": pa.map_(pa.string(), pa.float64())}, "source.pred_probs", "pred_probs", "scores"),
        ({"scores": pa.string(), "n": pa.int64()}, "source.pred_probs", "pred_probs", None),
    ],
)  # fmt: skip
def test_the_column_that_is_probably_meant(
    columns: dict[str, Any], key: str, name: str, expected: str | None
) -> None:
    schema = pa.schema(list(columns.items()))
    assert likely_column(schema, name, key) == expected
    with pytest.raises(InputError, match=f"no column '{name}'") as error:
        source_field(schema, name, key)
    assert ("Did you mean" in error.value.fix) == (expected is not None)
    assert f"'{next(iter(columns))}'" in error.value.fix


def test_a_column_per_tag_is_offered_as_a_list() -> None:
    schema = pa.schema([("id", pa.string()), ("p_sea", pa.float32()), ("p_sun", pa.float32())])
    with pytest.raises(InputError) as error:
        source_field(schema, "pred_probs", "source.pred_probs")
    assert "--set 'source.pred_probs=[p_sea, p_sun]'" in error.value.fix


@pytest.mark.parametrize(
    ("labels", "width", "said"),
    [
        (TAGS, 4, """this is it: --set 'source.classes=["glass", "paper", "stone", "wood"]'"""),
        ([" , ".join(tags) for tags in TAGS], 4, '"glass", "paper"'),
        (TAGS, 5, "The first rows have 4 different tags and 5 probabilities each."),
        ([[f"t{k}"] for k in range(30)], 30, "write them so."),
        ([[0, 1]], 4, "one per line."),
    ],
)  # fmt: skip
def test_a_class_list_is_offered_where_the_tags_are_as_many_as_the_probabilities(
    labels: Any, width: int, said: str
) -> None:
    fix = class_list_fix(pa.array(labels), pa.array([[0.5] * width] * 3), ",")
    assert fix.startswith("Give the tag names in the order of the probabilities")
    assert fix.endswith(said) or said in fix.partition("--set")[2]


def test_empty_texts_may_mean_that_nobody_looked() -> None:
    rows = rows_of(["", " "] * 15, PROBS[:30])
    (hint,) = hints_of(rows, layout_of("delimited"))
    assert hint.settings == {"source.empty_labels": "not_annotated"}
    (hint,) = hints_of(rows, layout_of("delimited", empty_is_unlabelled=True))
    assert hint.kind == "unlabelled"
