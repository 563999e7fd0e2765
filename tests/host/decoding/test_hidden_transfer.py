"""Hidden transfer: pseudo states in training are those of decoding, tokens do not change, training reaches the maps only."""

import numpy as np
import pytest
import torch

from terntable.host.decoding.generation import run_method
from terntable.host.decoding.layered import LayeredTarget
from terntable.host.decoding.parts import save_part
from terntable.host.decoding.sparse_tree import RANKS
from terntable.host.decoding.torch_target import TorchTarget
from terntable.host.decoding.training import hidden_transfer
from terntable.host.decoding.training.probes import read_tokens
from terntable.host.decoding.training.teacher import PROMPT
from terntable.host.decoding.training.trainer import Recipe, train
from terntable.host.decoding.tree import DraftTree, Inject
from terntable.host.errors import InputError
from terntable.host.sampling import Sampling
from tests.host.decoding.models import tiny
from tests.host.decoding.tiny_teacher import TinyTeacher

WIDTH = 32


def part(folder, layers):
    """Random maps, kept for model `tiny`."""
    maps = np.random.default_rng(2).normal(size=(len(layers), WIDTH, WIDTH)).astype(np.float32)
    accuracy = np.array([[first * 0.5**rank for rank in range(RANKS)] for first in (0.5, 0.4, 0.3)[:len(layers)]])
    save_part(folder / "tiny" / "hidden-transfer.safetensors", {"config": {"layers": layers}}, {"maps": maps, "accuracy": accuracy})
    return folder


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=1.0, seed=3)])
@pytest.mark.parametrize(("layers", "options"), [([2, 2, 2], {"nodes": 20}), ([1, 2], {}),
                                                 ([0, 1, 3], {"dynamic": False, "nodes": 8})])
def test_random_maps_change_no_token(tmp_path, sampling, layers, options):
    target, prompt = LayeredTarget(tiny(sharp=4.0)), [3, 1, 4, 1, 5, 9, 2, 6]
    plain = run_method(target, "greedy", prompt, max_tokens=50, sampling=sampling)
    drafted = run_method(target, "hidden-transfer", prompt, max_tokens=50, sampling=sampling, options=options, model="tiny",
                         parts=part(tmp_path, layers))
    assert drafted.tokens == plain.tokens and target.length == len(prompt) + 49
    if options:
        assert drafted.ledger.verify_width > 3 and drafted.ledger.drafted


def test_a_target_without_layers_is_refused(tmp_path):
    with pytest.raises(InputError, match="needs rows that enter between layers"):
        run_method(TorchTarget(tiny()), "hidden-transfer", [1], model="tiny", parts=part(tmp_path, [1]))


@pytest.mark.parametrize("layers", [[1, 1, 1], [0, 1, 1]])
def test_pseudo_states_in_training_are_those_of_decoding(layers):
    model = TinyTeacher(40, WIDTH).model
    tokens, maps = torch.randint(40, (2, 12), generator=torch.Generator().manual_seed(1)), torch.randn(3, WIDTH, WIDTH) / 6
    anchors = torch.tensor([[2, 5, 7], [0, 4, 6]])
    said, cache = read_tokens(model, tokens, output_hidden_states=True)
    with torch.no_grad():
        logits = hidden_transfer.transfer_logits(model, cache, said.hidden_states, maps, layers, anchors)
    for row in range(2):
        for index, anchor in enumerate(anchors[row].tolist()):
            tree, node = DraftTree(int(tokens[row, anchor])), 0
            for layer, weights in zip(layers, maps, strict=True):
                node = tree.add_probe(node, Inject(layer, weights))
            scores = LayeredTarget(model).score(tree, tokens[row, :anchor].tolist(), logits=True)
            np.testing.assert_allclose(logits[row, :, index], scores.logits[1:], rtol=0, atol=1e-5)


def test_layers_out_of_order_are_refused():
    model = TinyTeacher(40, WIDTH).model
    said, cache = read_tokens(model, torch.tensor([[1, 2, 3]]), output_hidden_states=True)
    for layers in ([1, 0], [1, 2]):
        with pytest.raises(ValueError, match="must enter in the order of their steps, before layer 2"):
            hidden_transfer.transfer_logits(model, cache, said.hidden_states, torch.zeros(2, WIDTH, WIDTH), layers,
                                            torch.tensor([[0]]))


def test_training_repeats_reaches_the_maps_only_and_measures(tmp_path):
    made, recipe = TinyTeacher(40, WIDTH), Recipe(steps=2, batch=2, length=PROMPT + 12, rate=1e-3)
    tokens = torch.randint(40, (6, PROMPT + 12), generator=torch.Generator().manual_seed(0))
    before = {key: value.clone() for key, value in made.model.state_dict().items()}
    states = []
    for name in ("one", "two"):
        job = hidden_transfer.prepare(made, tokens, recipe)
        assert torch.equal(job.module.maps[1], torch.eye(WIDTH)) and job.config["layers"] == [1, 1, 1]
        train(job.module, job.loss, recipe, folder=tmp_path, name=name)
        job.finish()
        assert all(not torch.equal(one, torch.eye(WIDTH)) for one in job.module.maps)
        states.append(job.module.state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert all(torch.equal(before[key], value) for key, value in made.model.state_dict().items())
    assert all(weight.grad is None for weight in made.model.parameters())
    assert 0 < states[0]["accuracy"].sum(dim=1).max() <= 1
