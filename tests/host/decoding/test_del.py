"""Dynamic exit layers: statistics, equality with plain decoding, what layers run, shadow tokens, training."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from terntable.host.decoding.exit_statistics import ExitStatistics, tokens_per_layer
from terntable.host.decoding.generation import run_method
from terntable.host.decoding.layered import LayeredTarget
from terntable.host.decoding.ledger import Ledger
from terntable.host.decoding.loading import load_model
from terntable.host.decoding.loop import decode
from terntable.host.decoding.methods.del_ import ExitDrafter
from terntable.host.decoding.rules import Match
from terntable.host.decoding.torch_target import TorchTarget
from terntable.host.decoding.training.__main__ import train_part
from terntable.host.decoding.training.exits import PART, exit_loss
from terntable.host.decoding.training.trainer import Recipe, train
from terntable.host.decoding.tree import DraftTree
from terntable.host.errors import InputError
from terntable.host.models import find_model
from terntable.host.sampling import Sampling
from terntable.models.kjv_recipe.network import Network, NetworkConfig
from terntable.quant.checksums import verify_checksums
from terntable.quant.huggingface import read_checkpoint
from tests.host.decoding.models import tiny

PROMPT = [3, 1, 4, 1, 5, 9, 2, 6]
LAYERS = 4


@pytest.fixture(scope="module")
def model():
    """A random model whose upper layers say little, so that early ones often agree with the last."""
    made = tiny(num_hidden_layers=LAYERS, max_position_embeddings=128, sharp=6.0)
    with torch.no_grad():
        for layer in made.model.layers[2:]:
            layer.self_attn.o_proj.weight *= 0.02
            layer.mlp.down_proj.weight *= 0.02
    return made


@given(st.floats(0, 1), st.integers(1, 7), st.integers(0, 17))
def test_tokens_per_layer_is_its_recursion(alpha, layer, drafted):
    expected = 1.0
    for _ in range(drafted):
        expected = 1 + alpha * expected
    assert tokens_per_layer(alpha, layer, 8, drafted) == pytest.approx(expected / (8 + drafted * layer), rel=1e-9)


def test_counts_decay_and_decide():
    plain, fading = ExitStatistics(4, (1, 2, 3), decay=1.0), ExitStatistics(4, (1, 2, 3), decay=0.5)
    assert plain.choose() == (1, 0) and plain.alpha(2) == 0 and plain.threshold(1) == 0
    rounds = [([[1, 0], [1, 1], [0, 0]], [[0.9, 0.2], [0.8, 0.6], [0.3, 0.1]]), ([[0], [1], [1]], [[0.4], [0.7], [0.9]])]
    for matched, sure in rounds:
        plain.add(matched, sure)
        fading.add(matched, sure)
    assert plain.counts.tolist() == [[1, 2], [3, 0], [1, 2]] and fading.counts.tolist() == [[0.5, 1.5], [2, 0], [1, 1]]
    assert plain.alpha(1) == pytest.approx(1 / 3) and plain.alpha(2) == 1
    assert plain.threshold(1) == pytest.approx((0.9 + 0.6 / 2) / 2) and plain.threshold(2) == 0
    assert fading.threshold(3) == pytest.approx((0.9 + (0.5 * 0.4) / 1) / 2)
    best = max(((layer, length) for layer in (1, 2, 3) for length in range(19)),
               key=lambda one: tokens_per_layer(plain.alpha(one[0]), one[0], 4, one[1]))
    assert plain.choose() == best == (2, 18)
    never = ExitStatistics(4, (1, 2, 3))
    never.add([[0], [0], [0]], [[0.5]] * 3)
    assert never.choose() == (1, 0) and never.threshold(1) == 1
    assert tokens_per_layer(0, 1, 4, 0) == 1 / 4


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=0.7, seed=3)])
@pytest.mark.parametrize("options", [{}, {"exit": 2, "length": 3}, {"stops": False}, {"length": 1}])
def test_no_token_changes(model, sampling, options):
    target = LayeredTarget(model)
    plain = run_method(target, "greedy", PROMPT, max_tokens=60, sampling=sampling)
    drafted = run_method(target, "del", PROMPT, max_tokens=60, sampling=sampling, options=options)
    assert drafted.tokens == plain.tokens and target.length == len(PROMPT) + 59
    if sampling.greedy:
        assert drafted.ledger.tokens_per_forward > 1.3


@pytest.mark.parametrize("exit_layer", [1, 3])
def test_each_layer_runs_once_for_each_row(model, exit_layer):
    target, ledger, head = LayeredTarget(model), Ledger(), 40 * 32
    drafter = ExitDrafter(target, exit_layer=exit_layer, length=4)
    rows = sum(outcome.prefix + len(outcome.tree) for outcome in
               decode(target, PROMPT, drafter=drafter, rule=Match(), max_tokens=40, ledger=ledger))
    # The last round may have room for no draft, and then runs as a whole.
    whole = sum(1 for emitted in ledger.emitted[-1:] if target.layer_rows < LAYERS * rows)
    assert target.layer_rows == LAYERS * (rows - whole)
    drafts = sum(ledger.drafted)
    assert ledger.draft_units == pytest.approx(drafts * (exit_layer + head / target.layer_weights))
    assert ledger.draft_forwards == drafts


def test_shadow_tokens_are_what_layers_say(model):
    target = LayeredTarget(model)
    drafter = ExitDrafter(target)
    for outcome in itertools.islice(decode(target, PROMPT, drafter=drafter, rule=Match(), max_tokens=60), 8):
        states, used = outcome.scores.hidden, drafter.exit
        if len(outcome.tree) > 1 and (exits := target._exit):
            # What the exit says at each row but the last is what was drafted, and the last layer's is what was verified.
            said = target.exit_logits(states[exits][outcome.prefix:]).argmax(dim=-1).tolist()
            assert said[:-1] == outcome.tree.tokens[1:]
        assert target.head(states[-1][outcome.prefix:]).argmax(dim=-1).tolist() == outcome.scores.best
        assert used in range(LAYERS)


def test_only_rows_up_to_the_first_wrong_draft_count(model):
    target = LayeredTarget(model)
    drafter = ExitDrafter(target, decay=1.0)
    total, first = 0, True
    for outcome in decode(target, PROMPT, drafter=drafter, rule=Match(), max_tokens=40):
        total += len(outcome.path) + (outcome.prefix if first else 0)
        if first:
            assert len(outcome.tree) == 2
        first = False
        left = 40 - len(outcome.tokens)
    counted = drafter.statistics.counts.sum(axis=1)
    # The last round is not observed.
    np.testing.assert_allclose(counted, total - len(outcome.path))
    assert left >= 0


def test_where_no_layer_agrees_it_is_plain_decoding():
    made = tiny(num_hidden_layers=LAYERS, max_position_embeddings=128, seed=4)
    with torch.no_grad():
        # The last layer alone decides.
        made.model.layers[-1].mlp.down_proj.weight *= 30
    target, ledger = LayeredTarget(made), Ledger()
    drafter = ExitDrafter(target)
    tokens = [token for outcome in decode(target, PROMPT, drafter=drafter, rule=Match(), max_tokens=60, ledger=ledger)
              for token in outcome.tokens]
    assert tokens == run_method(target, "greedy", PROMPT, max_tokens=60).tokens and drafter.exit == 0
    # The layers that drafting ran, without the output layer's share, against those of plain decoding.
    head = 40 * 32 / target.layer_weights
    layers = ledger.draft_units - head * (ledger.draft_forwards + ledger.forwards - 1)
    assert LAYERS * ledger.forwards + layers <= 1.05 * LAYERS * 60


def test_a_target_without_layers_or_an_exit_outside_is_refused(model):
    with pytest.raises(InputError, match="Method del needs leaving after some layers, which target torch does not have"):
        run_method(TorchTarget(model), "del", PROMPT)
    with pytest.raises(InputError, match="exit must be 1 to 3"):
        run_method(LayeredTarget(model), "del", PROMPT, options={"exit": 4})
    with pytest.raises(InputError, match="length must be at least 1 and decay above 0"):
        run_method(LayeredTarget(model), "del", PROMPT, options={"length": 0})


def small():
    """A ternary network as the recipe has it, but smaller."""
    torch.manual_seed(1)
    return Network(NetworkConfig(vocabulary=40, hidden=32, intermediate=48, layers=4, heads=2, kv_heads=1, head_dim=16,
                                 positions=32))


def test_training_repeats_and_reaches_all_exits(tmp_path):
    tokens = torch.randint(40, (2, 12), generator=torch.Generator().manual_seed(0))
    states = []
    for name in ("one", "two"):
        made = small()
        train(made, lambda step, made=made: exit_loss(made, tokens, step), Recipe(steps=2, rate=1e-3), folder=tmp_path, name=name)
        states.append(made.state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    # The loss of an update is that of its exits: each in turn, and always the last.
    made, seen = small(), set()
    with torch.no_grad():
        laws = [made.head(given).flatten(0, 1) for given in made.states(tokens[:, :-1])]
        for step in range(3):
            own = [layer for layer in (1, 2, 3) if layer % 3 == step % 3]
            *early, last = (float(cross_entropy(laws[layer - 1], tokens[:, 1:].flatten())) for layer in [*own, 4])
            assert float(exit_loss(made, tokens, step)) == pytest.approx((sum(early) / len(own) + last) / 2, rel=1e-5)
            seen |= set(own)
    assert seen == {1, 2, 3}


def test_what_was_trained_is_a_checkpoint_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("TERNTABLE_BUILD", str(tmp_path / "build"))
    train_part(replace(PART, answers=1), "kjv", tmp_path, steps=1)
    made = tmp_path / "kjv-exits"
    assert verify_checksums(made) and json.loads((made / "recipe.json").read_text())["recipe"]["steps"] == 1
    before, after = (read_checkpoint(path) for path in (find_model("kjv"), made))
    same = [np.mean(one.q.codes == other.q.codes) for one, other in zip(before.layers, after.layers, strict=True)]
    # An update at the first warm-up rate moves few codes, and what a scale was it nearly is.
    assert min(same) > 0.95 and after.layers[0].q.scale == pytest.approx(before.layers[0].q.scale, rel=0.01)


def test_the_shipped_exits_agree_with_the_last_layer():
    """What the first layers say is what all of them say far more often than in the model that it was made of."""
    tokens = load_model("kjv").encode("And it came to pass in those days, that he went out into a mountain to pray, and continued")
    agreement = {}
    for name in ("kjv", "kjv-exits"):
        target = LayeredTarget(load_model(name).model)
        states = target.score(DraftTree(tokens[-1]), tokens[:-1], hidden=(*range(1, target.layers), -1)).hidden
        said = target.head(states[-1]).argmax(dim=-1)
        agreement[name] = np.mean([float((target.exit_logits(states[layer]).argmax(dim=-1) == said).float().mean())
                                   for layer in range(1, target.layers)])
    assert agreement["kjv-exits"] > 1.2 * agreement["kjv"]
