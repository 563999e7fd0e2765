"""Pictures, questions and the model that sees them."""

import numpy as np
import pytest
import torch

from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.scenes import (
    COLOURS,
    END,
    IMAGE,
    PATCH_WIDTH,
    PATCHES,
    QUESTIONS,
    SHAPES,
    WORDS,
    answer,
    draw,
    encode,
    prompt,
)
from terntable.host.decoding.training.scenes import batch, make
from terntable.host.decoding.training.trainer import Recipe, train
from terntable.host.decoding.tree import DraftTree
from terntable.host.decoding.vision import SceneModel, VisionTarget, scene_config
from terntable.host.errors import InputError


@pytest.fixture(scope="module")
def target():
    torch.manual_seed(0)
    return VisionTarget(SceneModel(scene_config(width=32, layers=2)).double())


def test_a_picture_is_the_same_for_its_seed_only():
    assert np.array_equal(draw(3).patches, draw(3).patches) and not np.array_equal(draw(3).patches, draw(4).patches)
    assert draw(3).patches.shape == (PATCHES, PATCH_WIDTH)


def test_patches_show_what_the_words_say():
    scene = draw(7, noise=0.0)
    for place, said in enumerate(scene.places):
        pixels = scene.patches[4 * place:4 * place + 4].reshape(-1, 3)
        lit = pixels[pixels.any(axis=1)]
        if said is None:
            assert not len(lit)
        else:
            assert (lit == COLOURS[said[0]]).all() and said[1] in SHAPES
    assert answer(scene, QUESTIONS[0]).count("an empty place") == scene.places.count(None)


def test_shapes_differ():
    scenes = [draw(seed, noise=0.0) for seed in range(20)]
    seen = {}
    for scene in scenes:
        for place, said in enumerate(scene.places):
            if said:
                seen.setdefault(said[1], set()).add(scene.patches[4 * place:4 * place + 4].reshape(-1, 3).any(axis=1).tobytes())
    assert all(len(forms) == 1 for forms in seen.values()) and len(set.union(*seen.values())) == len(SHAPES)


@pytest.mark.parametrize("question", QUESTIONS)
def test_answers_are_long_and_in_the_vocabulary(question):
    assert len(question.split()) == 7
    assert len(encode(answer(draw(0), question))) >= 32
    ids = prompt(question)
    assert ids[:PATCHES] == [IMAGE] * PATCHES and [WORDS[one] for one in ids[PATCHES:]] == question.split()


def test_a_batch_marks_the_answers():
    _, tokens, said = batch(1, 3)
    for row, marks in zip(tokens.tolist(), said.tolist(), strict=True):
        answered = [token for token, mark in zip(row, marks, strict=True) if mark]
        assert answered[-1] == END and END not in answered[:-1]
        assert row[:PATCHES + 7] + answered == row[:PATCHES + 7 + len(answered)]


def test_the_target_sees(target):
    assert Capability.IMAGE in target.capabilities and Capability.EMBED_INPUT not in target.capabilities
    ids, laws = prompt(QUESTIONS[0]), []
    for seed in (1, 2, 1):
        target.look(draw(seed).patches)
        laws.append(target.score(DraftTree(ids[-1]), ids[:-1], logits=True).logits[0])
    assert np.array_equal(laws[0], laws[2]) and not np.allclose(laws[0], laws[1])


def test_rows_of_a_picture_may_come_in_pieces(target):
    ids = prompt(QUESTIONS[1])
    target.look(draw(1).patches)
    whole = target.score(DraftTree(ids[-1]), ids[:-1], logits=True).logits[0]
    target.look(draw(1).patches)
    target.score(DraftTree(ids[10]), ids[:10])
    target.commit([0])
    assert np.allclose(target.score(DraftTree(ids[-1]), ids[11:-1], logits=True).logits[0], whole)


def test_the_token_of_a_picture_is_a_token_behind_it(target):
    target.look(draw(1).patches)
    with torch.inference_mode():
        vectors = target.model.vectors(torch.tensor([[IMAGE]]), torch.tensor([[PATCHES]]))
    assert torch.equal(vectors[0], target.embed([IMAGE]))


def test_refuses_another_size(target):
    with pytest.raises(InputError, match=r"A picture has 64 patches of 48 numbers, not \(3, 48\)"):
        target.look(np.zeros((3, 48)))


def test_training_repeats(tmp_path):
    ends = []
    for run in ("a", "b"):
        job = make(Recipe(steps=2, batch=2))
        train(job.module, job.loss, Recipe(steps=2, batch=2), folder=tmp_path / run, name="scenes")
        ends.append(job.module.state_dict())
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])
