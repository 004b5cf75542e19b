"""Fine-tuning: halves of a network, kept states, training, whether to average, weights of killed runs."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from spark_ml_audit.errors import ConfigError, InputError
from spark_ml_audit.models import FeatureSpec, TagModel
from spark_ml_audit.models.encoders.choose import load_encoder
from spark_ml_audit.models.encoders.encoding import EncoderRef, Encoding
from spark_ml_audit.models.finetune.kept import load_kept
from spark_ml_audit.models.finetune.learner import (
    AveragedLearner,
    average,
    fit_averaged,
    held_out_rows,
    judge,
    num_held_out,
)
from spark_ml_audit.models.finetune.pace import Cost, measure, share_done
from spark_ml_audit.models.finetune.settings import FineTuning, Training
from spark_ml_audit.models.finetune.split import SplitEncoder, open_split
from spark_ml_audit.models.finetune.states import StateStore
from spark_ml_audit.models.finetune.train import rate_at
from tests.tiny_encoder import texts_and_tags, write_encoder

# random weights need more than the handful of steps that a pretrained network does
HARD = Training(epochs=25, learning_rate=5e-3, batch=16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def split(folder: str) -> SplitEncoder:
    return open_split(folder, 2, 32)


class Constant:
    """Says the same of every row."""

    def __init__(self, probs: Any) -> None:
        self.probs = np.asarray(probs, dtype=np.float32)

    def predict_proba(self, frame: pd.DataFrame) -> Any:
        return np.tile(self.probs, (len(frame), 1))


def fit_shares(frame: pd.DataFrame, given: Any, inner_fold: Any) -> tuple[Any, tuple[str, ...]]:
    return Constant(given.mean(axis=0)), ("said",)


def fitted(tuning: FineTuning, fit: Any = fit_shares, num_rows: int = 60, seed: int = 0) -> AveragedLearner:
    texts, tags = texts_and_tags(num_rows)
    frame = pd.DataFrame({"text": texts})
    held_out = held_out_rows(np.arange(num_rows), seed)
    learner, notes = fit_averaged(frame, tags, np.arange(num_rows) % 2, held_out, ["text"], tuning, seed, fit)
    assert notes == ("said",)
    return learner


# ---- halves --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bert", "distilbert", "mpnet", "modernbert"])
def test_both_halves_one_after_the_other_are_the_whole_network(kind: str, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModel

    found = open_split(write_encoder(tmp_path, kind), 2, 32)
    tokens = found.tokens(["w01 w02 w03", "w04 " * 60])
    states, upper = found.states(tokens), found.new_upper()
    whole = AutoModel.from_pretrained(tmp_path).eval()
    for row, own in zip(tokens, states, strict=True):
        ids, mask = torch.from_numpy(row.astype(np.int64))[None], torch.ones(1, len(row), dtype=torch.int64)
        with torch.inference_mode():
            expected = whole(input_ids=ids, attention_mask=mask).last_hidden_state.mean(dim=1)
            vector = upper(torch.from_numpy(own.astype(np.float32))[None], mask)
        assert np.allclose(expected.numpy(), vector.numpy(), atol=5e-3)  # states are float16
    assert len(upper.layers) == 2


def test_a_network_that_cannot_be_cut_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="T5") as caught:
        open_split(write_encoder(tmp_path, "t5"), 2, 32).new_upper()
    assert caught.value.key == "model.encoder_level"
    assert "frozen" in str(caught.value.fix)


def test_the_layers_of_a_function_cannot_be_trained() -> None:
    with pytest.raises(ConfigError, match="is a function") as caught:
        open_split("tests.encoders:words", 2, 32)
    assert caught.value.key == "model.encoder_level"


def test_no_more_than_half_of_the_layers_are_trained(tmp_path: Path) -> None:
    assert open_split(write_encoder(tmp_path, layers=2), 2, 32).num_trained == 1


# ---- states --------------------------------------------------------------------------------------------


def test_states_of_a_text_are_its_own_to_the_last_bit(split: SplitEncoder) -> None:
    tokens = split.tokens(texts_and_tags(50)[0])
    every = split.states(tokens)
    order = np.random.default_rng(1).permutation(50)
    assert all(
        np.array_equal(every[i], own)
        for i, own in zip(order, split.states([tokens[i] for i in order]), strict=True)
    )
    assert all(np.array_equal(every[i], split.states([tokens[i]])[0]) for i in range(10))
    assert max(map(len, tokens)) == 32
    assert {len(row) for row in every} == {len(row) for row in tokens}


def test_states_are_kept_once_per_content_and_found_by_others(split: SplitEncoder, tmp_path: Path) -> None:
    tokens = split.tokens([*texts_and_tags(30)[0], *texts_and_tags(30)[0]])
    first = StateStore(split, tmp_path, 1 << 30)
    counted: list[int] = []
    first.fill(tokens, counted.append)
    assert first.num_kept == 30
    assert counted == [30]
    size = sum(file.stat().st_size for file in tmp_path.rglob("*.states"))
    assert size == sum(map(len, tokens[:30])) * split.width * 2
    second = StateStore(split, tmp_path, 1 << 30)
    second.fill(tokens, counted.append)
    assert counted == [30]  # nothing was missing
    assert all(
        np.array_equal(own, other)
        for own, other in zip(second.states(tokens), split.states(tokens), strict=True)
    )


def test_states_beyond_the_limit_are_computed_and_the_same(split: SplitEncoder, tmp_path: Path) -> None:
    tokens = split.tokens(texts_and_tags(10)[0])
    store = StateStore(split, tmp_path, 100)
    store.fill(tokens)
    assert store.num_kept == 0
    assert all(
        np.array_equal(own, other)
        for own, other in zip(store.states(tokens), split.states(tokens), strict=True)
    )


def test_broken_files_of_states_are_computed_again(split: SplitEncoder, tmp_path: Path) -> None:
    tokens = split.tokens(texts_and_tags(10)[0])
    StateStore(split, tmp_path, 1 << 30).fill(tokens)
    for file in tmp_path.rglob("*.states"):
        file.write_bytes(b"cut off")
    found = StateStore(split, tmp_path, 1 << 30)
    assert found.num_kept == 0
    assert np.array_equal(found.states(tokens)[3], split.states(tokens)[3])


# ---- training and the decision -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def learned(folder: str) -> AveragedLearner:
    """A learner that knows shares alone, averaged with an encoder that was trained long enough."""
    return fitted(FineTuning(folder, training=HARD), num_rows=160)


def test_it_learns_from_texts_and_is_averaged_in_where_the_learner_knows_less(
    learned: AveragedLearner,
) -> None:
    assert learned.judged is not None
    assert learned.judged.is_kept
    assert learned.judged.num_rows == num_held_out(160) == 20
    assert learned.judged.loss_average < learned.judged.loss_alone
    texts, tags = texts_and_tags(200, seed=7)
    probs = learned.predict_proba(pd.DataFrame({"text": texts}))
    assert roc_auc_score(tags[:, 0], probs[:, 0]) > 0.95


def test_it_is_left_out_where_the_average_is_worse(folder: str) -> None:
    texts, tags = texts_and_tags(60)
    known = dict(zip(texts, tags, strict=True))

    class Oracle:
        def predict_proba(self, frame: pd.DataFrame) -> Any:
            return np.array([np.where(known[text], 0.999, 0.001) for text in frame["text"]], np.float32)[
                :, : self.width
            ]

    def fit(frame: pd.DataFrame, given: Any, inner_fold: Any) -> Any:
        oracle = Oracle()
        oracle.width = given.shape[1]
        return oracle, ("said",)

    learner = fitted(FineTuning(folder, training=Training(epochs=1)), fit)
    assert learner.judged is not None
    assert not learner.judged.is_kept
    assert learner.tuned is None
    frame = pd.DataFrame({"text": texts})
    assert np.array_equal(learner.predict_proba(frame), learner.learner.predict_proba(frame))


def test_numbers_that_are_none_are_never_averaged_in() -> None:
    given, fair = np.array([[True]]), np.array([[0.5]], np.float32)
    assert not judge(given, fair, np.array([[np.nan]], np.float32)).is_kept
    assert not judge(given, fair, fair).is_kept


def test_the_same_rows_and_seed_give_the_same_bits_with_and_without_a_work_folder(
    folder: str, tmp_path: Path
) -> None:
    tuning = FineTuning(folder, training=Training(epochs=2, learning_rate=1e-3))
    frame = pd.DataFrame({"text": texts_and_tags(40, seed=3)[0]})
    found = [
        fitted(replace(tuning, work=work), seed=seed)
        for work, seed in ((None, 0), (str(tmp_path), 0), (None, 1))
    ]
    first, second, third = (learner.judged for learner in found)
    assert first == second
    assert first != third
    if found[0].tuned is not None:
        assert np.array_equal(found[0].predict_proba(frame), found[1].predict_proba(frame))


def test_held_out_rows_follow_from_keys_and_groups_stay_together() -> None:
    keys = np.repeat(np.arange(1000, 1100), 3)
    held = held_out_rows(keys, seed=0)
    assert np.array_equal(held.reshape(100, 3).any(axis=1), held.reshape(100, 3).all(axis=1))
    assert num_held_out(300) <= held.sum() < num_held_out(300) + 3
    order = np.random.default_rng(0).permutation(300)
    assert np.array_equal(held_out_rows(keys[order], seed=0), held[order])
    assert not np.array_equal(held_out_rows(keys, seed=1), held)
    assert not held_out_rows(np.zeros(50, np.int64), seed=0).any()  # one group: nothing is left to learn


def test_without_rows_to_judge_by_nothing_is_tuned(folder: str) -> None:
    frame, given = pd.DataFrame({"text": ["a", "b"]}), np.array([[True, False], [False, True]])
    learner, _ = fit_averaged(
        frame, given, np.arange(2), np.zeros(2, bool), ["text"], FineTuning(folder), 0, fit_shares
    )
    assert (learner.tuned, learner.judged) == (None, None)


def test_averages_are_of_log_odds_and_bounded() -> None:
    odds = np.log(np.array([[9.0, 1 / 9]]))
    assert np.allclose(average(np.array([[0.5, 0.5]], np.float32), odds), [[0.75, 0.25]])
    sure = average(np.array([[0.0, 1.0]], np.float32), np.array([[1e9, -1e9]]))
    assert np.allclose(sure, 0.5)


def test_the_rate_rises_and_falls() -> None:
    rates = [rate_at(step, 100, 0.1) for step in range(100)]
    assert max(rates) == 1.0 == rates[9]
    assert rates[-1] < 0.02
    assert all(rate > 0 for rate in rates)


# ---- as part of a model --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(folder: str, learned: AveragedLearner) -> TagModel:
    """A joint model that reads vectors, averaged with an encoder that was trained long enough."""
    texts, tags = texts_and_tags(160)
    rows, cols = np.nonzero(tags)
    encoding = Encoding(EncoderRef(folder, load_encoder(folder).identity), 2, ("text",))
    fit = TagModel.fit(
        pd.DataFrame({"text": texts}),
        rows,
        cols,
        ["gold", "iron"],
        FeatureSpec(text=("text",)),
        "joint",
        order_keys=np.random.default_rng(0).permutation(160),
        encoding=encoding,
        tuning=FineTuning(folder, training=Training(epochs=1)),
    )
    assert isinstance(fit.learner, AveragedLearner)
    assert fit.learner.judged is not None
    return replace(fit, learner=replace(fit.learner, tuned=learned.tuned))


def test_scores_do_not_depend_on_the_batch_and_survive_the_journey(model: TagModel) -> None:
    frame = pd.DataFrame({"text": [*texts_and_tags(90, seed=5)[0], None, ""]})
    probs = model.predict_proba(frame)
    assert np.isfinite(probs).all()
    back = TagModel.from_bytes(model.to_bytes())
    assert np.array_equal(back.predict_proba(frame), probs)
    assert np.array_equal(model.predict_proba(frame[::-1])[::-1], probs)
    assert all(np.array_equal(model.predict_proba(frame[i : i + 1])[0], probs[i]) for i in range(0, 92, 13))


def test_trained_weights_travel_and_no_others(learned: AveragedLearner) -> None:
    assert learned.tuned is not None
    learned.tuned.logits(["w01 w02"])
    assert {name.partition(".")[0] for name in learned.tuned.weights} == {"0", "1"}
    numbers = sum(values.size for values in learned.tuned.weights.values())
    assert len(pickle.dumps(learned.tuned)) < numbers * 2 + 8000


def test_the_folder_is_that_of_the_config_whatever_else_holds_the_same_files(
    folder: str, learned: AveragedLearner, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    other = open_split(str(tmp_path / "copy"), 2, 128)
    assert other.name == str(tmp_path / "copy")
    assert learned.tuned is not None
    moved = replace(learned.tuned, encoder=other.name)
    assert np.array_equal(moved.logits(["w01 w02"]), learned.tuned.logits(["w01 w02"]))


def test_another_encoder_in_its_place_is_refused(learned: AveragedLearner, tmp_path: Path) -> None:
    assert learned.tuned is not None
    moved = replace(learned.tuned, encoder=write_encoder(tmp_path, seed=1))
    with pytest.raises(InputError, match="not the one that this model was trained with") as caught:
        moved.logits(["w01"])
    assert caught.value.key == "model.encoder"


# ---- killed runs, time ---------------------------------------------------------------------------------


def test_weights_that_are_there_are_not_trained_again(
    folder: str, tmp_path: Path, split: SplitEncoder
) -> None:
    tuning = FineTuning(folder, max_tokens=32, training=Training(epochs=1), work=str(tmp_path))
    first = fitted(tuning)
    kept = list((tmp_path / "folds").glob("*.npz"))
    assert len(kept) == 1
    tuned = load_kept(tmp_path / "folds", kept[0].stem, split)
    assert tuned is not None
    arrays = tuned.to_arrays() | {"offsets": np.full(2, 9.0, np.float32)}
    np.savez(kept[0], **arrays)
    assert first.judged is not None
    again = fitted(tuning).judged
    assert again is not None
    assert again.loss_average > first.judged.loss_average + 0.5  # what lies there was taken
    other = fitted(replace(tuning, training=Training(epochs=2))).judged
    assert other is not None
    assert other.loss_average < again.loss_average  # of other settings: trained
    kept[0].write_bytes(b"PK cut off")
    assert fitted(tuning).judged == first.judged  # broken: trained


def test_progress_is_told_to_the_work_folder(folder: str, tmp_path: Path) -> None:
    fitted(FineTuning(folder, training=Training(epochs=1), work=str(tmp_path)))
    assert share_done(tmp_path, folds=1) == 1.0
    assert share_done(tmp_path, folds=4) == 0.25


def test_time_is_measured_on_the_texts_and_scaled(split: SplitEncoder) -> None:
    cost = measure(split, texts_and_tags(20)[0], 2, Training())
    assert 0 < cost.states < 1
    assert 0 < cost.epoch < 1
    one = cost.seconds(800, 1000, 5, Training(), beside=1)
    assert one > cost.seconds(800, 1000, 5, Training(), beside=5)
    assert Cost(0, 1, 0).seconds(800, 1000, 5, Training(epochs=3), beside=2) == 3 * 800 * 3
