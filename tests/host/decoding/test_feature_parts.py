"""The shipped parts of the drafters on hidden states: they draft far better than by chance, and change no output."""

import pytest

from terntable.host.decoding.compressor import BRANCHES
from terntable.host.decoding.generation import run_method
from terntable.host.decoding.loading import load_model
from terntable.host.decoding.parts import SHIPPED_PARTS
from terntable.host.decoding.scenes import END, QUESTIONS, answer, draw, encode, prompt
from terntable.host.decoding.torch_target import TorchTarget
from terntable.host.decoding.training.scenes import HELD_OUT
from terntable.host.decoding.vision import SCENES, VisionTarget, load_scenes

#: Most bytes of a shipped part.
LIMIT = 4_500_000


@pytest.fixture(scope="module")
def kjv():
    causal = load_model("kjv")
    return TorchTarget(causal.model), causal.encode("And the LORD said unto James, Go thou into the city, and")


@pytest.fixture(scope="module")
def seeing():
    return VisionTarget(load_scenes().double())


@pytest.mark.parametrize(("method", "least"), [("eagle", 2.5), ("chimera", 1.7)])
def test_drafts_for_the_shipped_model(kjv, method, least):
    target, ids = kjv
    plain = run_method(target, "greedy", ids, max_tokens=40)
    drafted = run_method(target, method, ids, max_tokens=40, model="kjv")
    assert drafted.tokens == plain.tokens
    assert drafted.ledger.tokens_per_forward > least


def test_the_model_sees(seeing):
    scene = draw(HELD_OUT + 3)
    seeing.look(scene.patches)
    said = run_method(seeing, "greedy", prompt(QUESTIONS[0]), max_tokens=80, eos=[END]).tokens
    truth = [*encode(answer(scene, QUESTIONS[0])), END]
    assert len(said) == len(truth) and sum(a == b for a, b in zip(said, truth, strict=True)) > 0.95 * len(truth)


@pytest.mark.parametrize("branch", ["gate", *BRANCHES])
def test_drafts_for_the_model_that_sees(seeing, branch):
    seeing.look(draw(HELD_OUT + 1).patches)
    ids = prompt(QUESTIONS[1])
    plain = run_method(seeing, "greedy", ids, max_tokens=40, eos=[END])
    drafted = run_method(seeing, "specvlm", ids, max_tokens=40, eos=[END], model=SCENES, options={"branch": branch})
    assert drafted.tokens == plain.tokens
    assert drafted.ledger.tokens_per_forward > 2


@pytest.mark.parametrize(("model", "part"), [("kjv", "eagle"), ("kjv", "chimera"), (SCENES, SCENES), (SCENES, "specvlm")])
def test_parts_are_small(model, part):
    assert (SHIPPED_PARTS / model / f"{part}.safetensors").stat().st_size <= LIMIT
