"""Images of any origin, opened one by one; vectors of them; the small network that learns from them."""

from __future__ import annotations

import http.server
import importlib.util
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from spark_ml_audit.errors import ConfigError
from spark_ml_audit.models import images
from spark_ml_audit.models.bundle import TagModel
from spark_ml_audit.models.cnn import SIZE, WIDTH
from spark_ml_audit.models.encoders.choose import IMAGES, load_encoder
from spark_ml_audit.models.encoders.encoding import EncoderRef, Encoding
from spark_ml_audit.models.encoders.images import PIXELS
from spark_ml_audit.models.features import FeatureSpec
from spark_ml_audit.models.image_learner import ImageLearner
from spark_ml_audit.models.images import ImageFiles, opened, pixels

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed: it comes with the extra torch"
)
needs_transformers = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("torch", "torchvision", "transformers")),
    reason="transformers or torchvision is not installed: they come with the extra torch",
)


def png(colour: Any = (200, 30, 10), size: tuple[int, int] = (20, 10), mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, colour).save(file, "PNG")
    return file.getvalue()


def content_of(value: Any, folder: str | None = None) -> str:
    (content,) = ImageFiles(folder).contents([value])
    assert content is not None
    return content


# ---- opening ---------------------------------------------------------------------------------------------


def test_bytes_paths_and_file_addresses_are_the_same_image(tmp_path: Path) -> None:
    file = tmp_path / "a picture.png"
    file.write_bytes(png())
    values = [(png(), None), (str(file), None), (file.name, str(tmp_path)), (file.as_uri(), None)]
    found = [np.asarray(opened(content_of(value, folder))) for value, folder in values]
    assert all(np.array_equal(found[0], other) for other in found[1:])
    # another file under the same path is another content
    before = content_of(str(file))
    file.write_bytes(png((0, 0, 0), (5, 5)))
    assert content_of(str(file)) != before


@pytest.mark.parametrize(
    "value",
    [b"no image", png()[:40], "no such file.png", "/", "ftp://example.org/a.png", "a\0b", "x" * 5000],
)
def test_what_is_no_image_is_none(value: Any) -> None:
    assert opened(content_of(value)) is None


def test_null_and_empty_values_have_no_content() -> None:
    assert ImageFiles().contents([None, "", "  ", b"", float("nan")]) == [None] * 5


def test_modes_become_rgb() -> None:
    grey = opened(content_of(png(128, mode="L")))
    deep = opened(content_of(png(40_000, mode="I;16")))
    clear = opened(content_of(png((255, 0, 0, 0), mode="RGBA")))
    assert grey.mode == deep.mode == clear.mode == "RGB"
    assert np.asarray(grey)[0, 0].tolist() == [128] * 3
    assert np.asarray(clear)[0, 0].tolist() == [255] * 3  # transparent parts are white


def test_images_are_turned_as_the_camera_says() -> None:
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 10)).save(file, "JPEG", exif=exif)
    assert opened(content_of(file.getvalue())).size == (10, 20)


def test_an_image_of_too_many_pixels_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 100)
    assert opened(content_of(png(size=(20, 10)))) is None
    assert opened(content_of(png(size=(10, 10)))) is not None


class _Files(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        is_there = self.path == "/a.png"
        self.send_response(200 if is_there else 404)
        self.end_headers()
        self.wfile.write(png() if is_there else b"none")

    def log_message(self, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_addresses_are_fetched(address: str) -> None:
    found = opened(content_of(f"{address}/a.png"))
    assert np.array_equal(np.asarray(found), np.asarray(opened(content_of(png()))))
    assert opened(content_of(f"{address}/b.png")) is None


def test_pixels_keep_the_proportions_on_grey() -> None:
    values = pixels(Image.new("RGB", (20, 10), (255, 0, 0)), 8).reshape(3, 8, 8)
    assert values[:, 3, 4].tolist() == [1.0, 0.0, 0.0]
    assert np.allclose(values[:, 0, 0], 128 / 255)
    assert (values[0] == 1).sum() == 32  # half of the square
    assert pixels(Image.new("RGB", (1000, 1)), 8).shape == (192,)


# ---- encoders ----------------------------------------------------------------------------------------------


def test_a_function_reads_opened_images_and_what_is_broken_is_nan() -> None:
    encoder = load_encoder("tests.encoders:mean_colour", IMAGES)
    values = [content_of(png((255, 0, 0))), content_of(b"broken"), content_of(png((0, 0, 255)))]
    found = encoder.encode(values, [1])
    assert found[0, 0].tolist() == [255, 0, 0]
    assert np.isnan(found[1]).all()
    assert encoder.too_long(values).tolist() == [False, True, False]
    assert encoder.too_long(list(values)).tolist() == [False, True, False]
    with pytest.raises(ConfigError, match="fails on 2 images"):
        load_encoder("tests.encoders:words", IMAGES)


def test_vectors_do_not_depend_on_the_images_beside() -> None:
    encoder = load_encoder(PIXELS, IMAGES)
    values = [content_of(png((i, 2 * i, 90), (10 + i, 30 - i))) for i in range(20)]
    whole = encoder.encode(values, [1])
    assert whole.shape == (20, 1, WIDTH)
    assert np.array_equal(encoder.encode(values[7:8], [1])[0], whole[7])


@needs_transformers
def test_a_vision_network_gives_a_middle_layer(tmp_path: Path) -> None:
    import torch
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=6, num_attention_heads=2, intermediate_size=32, image_size=32,
        patch_size=8,
    )  # fmt: skip
    ViTModel(config).save_pretrained(tmp_path)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    encoder = load_encoder(str(tmp_path), IMAGES)
    assert (encoder.num_layers, encoder.candidates, encoder.width) == (6, (3, 4, 5), 16)
    values = [content_of(png((12 * i, 5, 250 - i), (10 + i, 30))) for i in range(20)]
    values[4] = content_of(b"broken")
    found = encoder.encode(values, [3, 5])
    assert found.shape == (20, 2, 16)
    assert np.isnan(found[4]).all()
    np.testing.assert_allclose(encoder.encode(values[7:8], [3, 5])[0], found[7], atol=1e-5)
    assert not np.allclose(found[7, 0], found[7, 1])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="cannot be opened as a vision network"):
        load_encoder(str(tmp_path / "empty"), IMAGES)


# ---- the network -------------------------------------------------------------------------------------------


def shapes(n: int = 120, seed: int = 0) -> tuple[pd.Series, np.ndarray]:
    """Images with a bar across, a bar down, both or none, and which of the two they have."""
    rng = np.random.default_rng(seed)
    given = rng.random((n, 2)) < 0.5
    values = rng.random((n, 3, SIZE, SIZE)).astype(np.float32) * 0.3
    for row, (across, down) in enumerate(given):
        place = rng.integers(4, SIZE - 4)
        if across:
            values[row, :, place : place + 2, :] = 1.0
        if down:
            values[row, :, :, place : place + 2] = 1.0
    return pd.Series(list(values.reshape(n, -1))), given


@needs_torch
def test_the_network_learns_shapes_and_a_row_without_image_gets_the_shares() -> None:
    column, given = shapes(200)
    encoding = Encoding(EncoderRef(PIXELS, "", IMAGES), 1, ("picture",), ImageFiles())
    frame = pd.DataFrame({encoding.column: column})
    rows, cols = np.nonzero(given[:150])
    fit = {"classes": ["across", "down"], "spec": FeatureSpec(image=("picture",)), "encoding": encoding}
    keys = np.arange(150)
    model = TagModel.fit(frame[:150], rows, cols, order_keys=keys, **fit)
    assert model.kind == "cnn"
    unseen = frame[150:].reset_index(drop=True)
    found = model.predict_proba(unseen)
    assert ((found > 0.5) == given[150:]).mean() > 0.9
    # alone or among others, kept and opened again, trained again: the same bits
    assert np.array_equal(model.predict_proba(unseen[7:8])[0], found[7])
    assert np.array_equal(TagModel.from_bytes(model.to_bytes()).predict_proba(unseen), found)
    again = TagModel.fit(frame[:150], rows, cols, order_keys=keys, **fit)
    assert np.array_equal(again.predict_proba(unseen), found)
    broken = pd.DataFrame({encoding.column: pd.Series([None, np.full(WIDTH, np.nan)], dtype=object)})
    np.testing.assert_array_equal(model.predict_proba(broken), np.tile(model.priors, (2, 1)))


@needs_torch
def test_other_columns_are_averaged_in_and_speak_alone_without_an_image() -> None:
    column, given = shapes(160, seed=1)
    words = [" ".join(["old", *(["bar"] if across else [])]) for across, _ in given]
    frame = pd.DataFrame({"p": column, "title": words})
    spec = FeatureSpec(text=("title",), image=("picture",))
    inner = np.arange(160) % 2
    learner, notes = ImageLearner.fit(frame, given, spec, "p", 0, inner, 5000)
    assert notes == ()
    without = frame.assign(p=pd.Series([None] * 160, dtype=object))
    both, alone = learner.predict_proba(frame), learner.predict_proba(without)
    assert np.isfinite(alone).all()
    assert ((alone[:, 0] > 0.5) == given[:, 0]).mean() > 0.95
    network = 1 / (1 + np.exp(-learner.network.logits(np.stack(column)).astype(float)))  # type: ignore[union-attr]
    between = (both >= np.minimum(alone, network) - 1e-4) & (both <= np.maximum(alone, network) + 1e-4)
    assert between.all()


def test_with_few_images_no_network_is_trained() -> None:
    column, given = shapes(40)
    column[8:] = None
    frame = pd.DataFrame({"p": column, "title": ["a", "b"] * 20})
    spec = FeatureSpec(text=("title",), image=("picture",))
    learner, notes = ImageLearner.fit(frame, given, spec, "p", 0, np.arange(40) % 2, 5000)
    assert learner.network is None
    assert "no network was trained" in notes[0]
    assert np.isfinite(learner.predict_proba(frame)).all()
    spec = FeatureSpec(image=("picture",))
    alone, _ = ImageLearner.fit(frame, given, spec, "p", 0, np.arange(40) % 2, 5000)
    assert np.isnan(alone.predict_proba(frame)).all()  # the tags' shares stand for these
