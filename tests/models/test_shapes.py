"""Geometries: published figures, text, and every refusal."""

import dataclasses
from pathlib import Path

import pytest

import terntable.models
from terntable.models.shapes import SHAPES, Geometry, parameters, parse_geometry, ternary_weights
from terntable.quant.huggingface import read_config

LARGE, MICROSOFT = SHAPES["bitnet-0.73b"], SHAPES["bitnet-2b-4t"]
TEXT = "hidden=1536,intermediate=4096,layers=24,heads=16,kv_heads=16,head_dim=96,vocab=32002,act=silu,context=2048"


def test_weights_of_the_published_models():
    # 4 x 1536 x 1536 + 3 x 1536 x 4096 a layer.
    assert ternary_weights(LARGE) == 24 * 28_311_552 == 679_477_248
    # Four norms a layer, the final norm, and the embedding.
    assert parameters(LARGE) == 679_477_248 + 24 * (3 * 1536 + 4096) + 1536 + 32002 * 1536
    assert ternary_weights(MICROSOFT) == 2_084_044_800
    assert parameters(MICROSOFT) == 2_084_044_800 + 30 * (3 * 2560 + 6912) + 2560 + 328_335_360
    untied = dataclasses.replace(LARGE, tied=False)
    assert parameters(untied) - parameters(LARGE) == 32002 * 1536


def test_the_shipped_model_is_the_shape_of_its_name():
    config = read_config(Path(terntable.models.__path__[0]) / "kjv")
    tokens = {"bos_token_id": config.bos_token_id, "eos_token_id": config.eos_token_id}
    assert dataclasses.replace(SHAPES["kjv"].bitnet_config(), **tokens) == config


def test_text_is_read():
    assert dataclasses.replace(parse_geometry(TEXT), name="bitnet-0.73b") == LARGE
    assert parse_geometry(TEXT).name == "custom"
    assert parse_geometry("bitnet-2b-4t") is MICROSOFT
    short = parse_geometry(" hidden = 64, intermediate=80 ,layers=1,heads=4,vocab=99,act=relu2,context=16,tied=false,theta=5e5,"
                           "eps=1e-6")
    assert short == Geometry(hidden=64, intermediate=80, layers=1, heads=4, kv_heads=4, head_dim=16, vocab=99, act="relu2",
                             context=16, tied=False, theta=5e5, eps=1e-6)


def changed(**changes):
    pairs = dict(pair.split("=") for pair in TEXT.split(",")) | changes
    return ",".join(f"{key}={value}" for key, value in pairs.items() if value is not None)


@pytest.mark.parametrize(("text", "sentence"), [
    ("bitnet-3b", "unknown shape 'bitnet-3b'; known: bitnet-0.73b, bitnet-2b-4t, kjv, or key=value pairs"),
    ("", "unknown shape ''; known"),
    (changed(layers=None), "the shape 'hidden=.*' lacks layers"),
    ("heads=4", "lacks hidden, intermediate, layers, vocab, act, context"),
    ("layers=4", "lacks hidden, intermediate, heads, vocab"),
    (changed(width=3), "'width=3' in the shape is not key=value with a known key: hidden, intermediate"),
    (changed(name="x"), "'name=x' in the shape is not key=value"),
    (TEXT + ",", "'' in the shape is not key=value"),
    (TEXT + ",tied", "'tied' in the shape is not key=value"),
    (TEXT + ",layers=3", "layers is given twice in the shape"),
    (changed(layers="many"), "layers is 'many' in the shape, but must be an integer"),
    (changed(layers="2.5"), "layers is '2.5' in the shape, but must be an integer"),
    (changed(theta="big"), "theta is 'big' in the shape, but must be a number"),
    (changed(tied="yes"), "tied is 'yes' in the shape, but must be true or false"),
    (changed(layers=0), "layers is 0, but must be an integer from 1 to 16777216"),
    (changed(heads=0, head_dim=None, kv_heads=None), "heads is 0, but must be an integer from 1"),
    (changed(vocab=2**30), "vocab is 1073741824, but must be an integer from 1 to 16777216"),
    (changed(act="gelu"), "act is 'gelu', but must be silu or relu2"),
    (changed(kv_heads=3), "kv_heads is 3, but must divide heads, 16"),
    (changed(head_dim=64), "hidden is 1536, but must be heads x head_dim, 16 x 64"),
    (changed(hidden=48, head_dim=3), "head_dim is 3, but rotary positions need an even number"),
    (changed(hidden=1537, head_dim=None), "hidden is 1537, but must be heads x head_dim, 16 x 96"),
    (changed(theta="nan"), "theta is nan, but must be a number from 1e-37"),
    (changed(eps=0), "eps is 0.0, but must be a number from 1e-37"),
])
def test_refused_text(text, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        parse_geometry(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"hidden": 1536.0}, "hidden is 1536.0, but must be an integer"), ({"layers": True}, "layers is True, but must be an integer"),
    ({"tied": 1}, "tied is 1, but must be true or false"), ({"theta": "big"}, "theta is 'big', but must be a number"),
])
def test_refused_values(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        dataclasses.replace(LARGE, **changes)


def test_a_geometry_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        LARGE.layers = 3
