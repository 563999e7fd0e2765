"""SpecVLM's compressor, drafter and training on a tiny model that sees."""

import pytest
import torch

from terntable.host.decoding.compressor import BRANCHES, QUERIES, RATIO, Compressor
from terntable.host.decoding.feature_drafter import place
from terntable.host.decoding.generation import run_method
from terntable.host.decoding.loop import decode
from terntable.host.decoding.rules import Deterministic
from terntable.host.decoding.scenes import PATCHES, QUESTIONS, draw, prompt
from terntable.host.decoding.specvlm_drafter import SpecVlm, specvlm_net
from terntable.host.decoding.training.specvlm import branch_states, distil
from terntable.host.decoding.training.trainer import Recipe, train
from terntable.host.decoding.tree import DraftTree
from terntable.host.decoding.vision import SceneModel, VisionTarget, scene_config
from terntable.host.errors import InputError
from terntable.host.sampling import Sampling
from tests.host.decoding.feature_cases import keep, tiny_target

ROWS = {"prune": -(-PATCHES // RATIO), "pool": -(-PATCHES // RATIO), "conv": -(-PATCHES // RATIO), "resample": QUERIES, "text": 0}
PROMPT = prompt(QUESTIONS[0])


@pytest.fixture(scope="module")
def target():
    torch.manual_seed(0)
    config = scene_config(width=32, layers=2)
    config.initializer_range = 0.2
    target = VisionTarget(SceneModel(config).double())
    target.look(draw(1).patches)
    return target


@pytest.fixture
def net(target):
    torch.manual_seed(1)
    net = specvlm_net(target.width)
    place(net, target)
    return net


@pytest.mark.parametrize("branch", BRANCHES)
@pytest.mark.parametrize("count", [PATCHES, 9, 7, 1])
def test_a_branch_gives_its_number_of_rows(branch, count):
    rows = torch.randn(2, count, 8, generator=torch.Generator().manual_seed(0))
    few, places = Compressor(8)(rows, branch)
    assert few.shape == (2, {"resample": QUERIES, "text": 0}.get(branch, -(-count // RATIO)), 8) and len(places) == few.shape[1]
    assert ((places >= -0.5) & (places <= count)).all() and torch.equal(places, places.sort().values)


def test_pooling_and_convolution_begin_as_means():
    rows, compressor = torch.arange(7.0).view(1, 7, 1).expand(1, 7, 4), Compressor(4)
    pooled, places = compressor(rows, "pool")
    assert pooled[0, :, 0].tolist() == places.tolist() == [1, 4, 6]
    torch.testing.assert_close(compressor(rows, "conv")[0][0, :2, 0], torch.tensor([1.0, 4.0]))


def test_pruning_keeps_rows_as_they_are():
    rows, compressor = torch.randn(1, 9, 4), Compressor(4)
    few, places = compressor(rows, "prune")
    assert torch.equal(few[0], rows[0, places.long()])
    draws = {tuple(compressor(rows, "prune", torch.Generator().manual_seed(seed))[1].tolist()) for seed in range(9)}
    assert len(draws) > 1 and torch.equal(compressor(rows, "prune")[1], places)


def test_an_unknown_branch_is_refused(target, net):
    with pytest.raises(ValueError, match="Branch 'blur' is not one of prune, pool, conv, resample, text"):
        Compressor(4)(torch.randn(1, 9, 4), "blur")
    with pytest.raises(InputError, match="A branch must be gate, prune, pool, conv, resample or text, not 'blur'"):
        SpecVlm(target, net, branch="blur")


@pytest.mark.parametrize("branch", ["gate", *BRANCHES])
def test_every_branch_gives_what_plain_decoding_gives(target, net, branch, tmp_path):
    keep(tmp_path, "specvlm", net)
    plain = run_method(target, "greedy", PROMPT, max_tokens=30)
    drafted = run_method(target, "specvlm", PROMPT, max_tokens=30, model="tiny", parts=tmp_path,
                         options={"branch": branch, "nodes": 20})
    assert drafted.tokens == plain.tokens and drafted.ledger.draft_units > 0
    sampled = run_method(target, "specvlm", PROMPT, max_tokens=10, model="tiny", parts=tmp_path, options={"branch": branch},
                         sampling=Sampling(temperature=1.0, seed=2))
    assert len(sampled.tokens) == 10


@pytest.mark.parametrize("branch", BRANCHES)
def test_the_cache_holds_few_rows_of_the_picture(target, net, branch):
    drafter, text = SpecVlm(target, net, branch=branch, nodes=9), list(PROMPT)
    for outcome in decode(target, PROMPT, drafter=drafter, rule=Deterministic(), max_tokens=20):
        text += outcome.tokens
    assert drafter.taken == branch and drafter.picture_rows == ROWS[branch]
    held = drafter.cache.length - ROWS[branch]
    assert len(PROMPT) - PATCHES <= held < len(text) - PATCHES
    # All of the text's rows are made of true states, as in training.
    target.rollback(0)
    ids = torch.tensor([text])
    states = target.score(DraftTree(text[-1]), text[:-1], hidden=(-1,)).hidden[-1][None]
    with torch.inference_mode():
        vectors = target.model.vectors(ids, torch.arange(len(text))[None])
        rows = net.layer.fuse(states[:, :-1], vectors[:, 1:])[:, :PATCHES + held]
        few, places = net.compressor(rows[:, :PATCHES], branch)
        positions = torch.cat([places.double(), torch.arange(PATCHES, PATCHES + held).double()])
        _, kept = net.layer(torch.cat([few, rows[:, PATCHES:]], dim=1), positions)
    torch.testing.assert_close(drafter.cache.rows[0], kept[0], rtol=0, atol=1e-9)


def test_the_gate_goes_by_the_question(target, net):
    """With a gate that was turned towards one of two questions, each gets its branch."""
    seen = {}
    for question in QUESTIONS[::2]:
        ids = prompt(question)
        target.rollback(0)
        states = target.score(DraftTree(ids[-1]), ids[:-1], hidden=(-1,)).hidden[-1]
        seen[question] = net.compressor.gate_norm(states[PATCHES:].mean(dim=0))
    difference = seen[QUESTIONS[2]] - seen[QUESTIONS[0]]
    middle = (seen[QUESTIONS[2]] + seen[QUESTIONS[0]]) / 2
    with torch.no_grad():
        net.compressor.gate.weight.zero_()
        net.compressor.gate.weight[4] = difference
        net.compressor.gate.bias.zero_()
        net.compressor.gate.bias[4] = -(difference @ middle)
        net.compressor.gate.bias[:3] = -1e9
    for question, branch in ((QUESTIONS[0], "resample"), (QUESTIONS[2], "text")):
        drafter = SpecVlm(target, net)
        for _ in decode(target, prompt(question), drafter=drafter, rule=Deterministic(), max_tokens=4):
            pass
        assert drafter.taken == branch


def test_a_target_without_pictures_is_refused(tmp_path):
    with pytest.raises(InputError, match="Method specvlm needs images in the prompt, which target torch does not have"):
        run_method(tiny_target(), "specvlm", [1, 2], model="tiny", parts=tmp_path)


def test_training_repeats_and_leaves_the_target_alone(tmp_path):
    torch.manual_seed(3)
    model = SceneModel(scene_config(width=32, layers=2))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    recipe, ends = Recipe(steps=2, batch=3), []
    for run in ("a", "b"):
        job = distil(model, recipe)
        train(job.module, job.loss, recipe, folder=tmp_path / run, name="specvlm")
        assert all(weight.grad is not None and weight.grad.any() for weight in job.module.parameters())
        ends.append(job.module.state_dict())
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())


def test_training_sees_what_decoding_sees(target, net):
    """A branch's state at a text row does not depend on later tokens, nor on how many there are."""
    states, vectors = torch.randn(1, 80, 32, dtype=torch.float64), torch.randn(1, 80, 32, dtype=torch.float64)
    made = branch_states(net, states, vectors, "pool", torch.Generator())
    fewer = branch_states(net, states[:, :72], vectors[:, :72], "pool", torch.Generator())
    assert made.shape[1] == 80 - 1 - PATCHES
    torch.testing.assert_close(made[:, :7], fewer)
