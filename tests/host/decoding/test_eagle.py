"""EAGLE's layer and drafter on a tiny target."""

import pytest
import torch

from terntable.host.decoding.draft_layer import DraftLayer, LayerCache
from terntable.host.decoding.drafter import Budget
from terntable.host.decoding.eagle_drafter import Eagle, FusedLayer, fused_layer
from terntable.host.decoding.feature_drafter import fill, likeliest, place, tree_mask
from terntable.host.decoding.registry import load_method
from terntable.host.decoding.rules import Deterministic
from terntable.host.decoding.training.eagle import continuation_loss, prepare
from terntable.host.decoding.training.trainer import Recipe, train
from terntable.host.errors import InputError
from tests.host.decoding.feature_cases import PROMPT, VOCAB, WIDTH, keep, rebuilt_equals_kept, same_as_plain, tiny_target
from tests.host.decoding.tiny_teacher import TinyTeacher


@pytest.fixture(scope="module")
def target():
    return tiny_target()


@pytest.fixture
def layer(target):
    torch.manual_seed(1)
    layer = fused_layer(target.width)
    place(layer, target)
    return layer


def test_rows_of_a_cache_are_those_of_a_whole_pass():
    torch.manual_seed(0)
    layer, x = DraftLayer(16, 2, 32).double(), torch.randn(1, 7, 16, dtype=torch.float64)
    whole, _ = layer(x, torch.arange(7))
    cache = LayerCache()
    _, rows = layer(x[:, :4], torch.arange(4))
    cache.append(rows)
    cache.append(layer(torch.randn_like(x), torch.arange(4, 11), past=cache.rows)[1])
    cache.rollback(4)
    last, _ = layer(x[:, 4:], torch.arange(4, 7), past=cache.rows)
    torch.testing.assert_close(last, whole[:, 4:])


def test_positions_matter_only_by_their_distances():
    torch.manual_seed(0)
    layer, x = DraftLayer(16, 2, 32).double(), torch.randn(1, 5, 16, dtype=torch.float64)
    torch.testing.assert_close(layer(x, torch.arange(5))[0], layer(x, torch.arange(5) + 20)[0])
    assert not torch.allclose(layer(x, torch.arange(5))[0], layer(x, 2 * torch.arange(5))[0])


def test_a_cache_and_a_layer_say_what_is_wrong():
    with pytest.raises(ValueError, match="A rollback to 1 is impossible: the cache holds 0 rows"):
        LayerCache().rollback(1)
    with pytest.raises(ValueError, match="A width of 10 does not give 3 heads of an even width"):
        DraftLayer(10, 3, 8)


def test_a_mask_shows_ancestors_only():
    assert tree_mask(2, [[2, 4], [3, 5]]).int().tolist() == [[1, 1, 1, 0, 1, 0], [1, 1, 0, 1, 0, 1]]


def test_likeliest_are_sorted_log_probabilities():
    (row,) = likeliest(torch.tensor([[0.0, 2.0, 1.0]]), 2)
    assert [token for token, _ in row] == [1, 2]
    assert row[0][1] - row[1][1] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("options", [{}, {"width": 2, "depth": 3, "nodes": 5}, {"width": 1, "depth": 2, "nodes": 60}])
def test_gives_what_plain_decoding_gives(target, layer, tmp_path, options):
    keep(tmp_path, "eagle", layer)
    drafted, sampled = same_as_plain(target, "eagle", tmp_path, **options)
    for one in (drafted, sampled):
        assert len(one.ledger.drafted) <= options.get("depth", 7)
        assert one.ledger.verify_width <= options.get("nodes", 60) + 1
        assert one.ledger.draft_units > 0


def test_the_cache_holds_true_states_only(target, layer):
    def rows(states, text, held):
        return layer(layer.fuse(states[None, :held], target.embed(text[1:held + 1])[None]), torch.arange(held))[1]

    held, known = rebuilt_equals_kept(target, Eagle(target, layer), Deterministic(), rows)
    assert len(PROMPT) < held < known


def test_a_chain_in_a_tree_is_a_chain(target, layer):
    """The tree's estimates are those of a pass over the path as a sequence, whatever grew beside it."""
    drafter = Eagle(target, layer, width=3, depth=4, nodes=40)
    drafter.start(PROMPT)
    states = torch.randn(len(PROMPT) - 1, WIDTH, dtype=torch.float64)
    drafter.states = states
    tree = drafter.propose(PROMPT, Budget(40, 4))
    leaf = max(range(len(tree)), key=lambda node: (tree.depths[node], -node))
    assert tree.depths[leaf] >= 3 and drafter.cache.length == len(states)
    path = tree.path(leaf)
    with torch.inference_mode():
        features, tokens = states, PROMPT[1:]
        for node in path[1:]:
            after, _ = layer(layer.fuse(features[None], target.embed(tokens)[None]), torch.arange(len(features)))
            law = target.head(after[0, -1:]).float().softmax(dim=-1)[0]
            assert float(law[tree.tokens[node]]) == pytest.approx(tree.estimates[node], rel=1e-5)
            features, tokens = torch.cat([features, after[0, -1:]]), [*tokens, tree.tokens[node]]


def test_refuses_what_cannot_be(target, layer, tmp_path):
    with pytest.raises(InputError, match="A tree needs a width, a depth and nodes of at least 1, not 0, 7 and 60"):
        Eagle(target, layer, width=0)
    with pytest.raises(InputError, match="part eagle was made for a model of other sizes"):
        fill(FusedLayer(16, 1, 16), {key: value.numpy() for key, value in layer.state_dict().items()}, "eagle")
    assert load_method("eagle").trained == "eagle"


def test_no_loss_where_target_and_drafter_agree():
    torch.manual_seed(0)
    states, matrix = torch.randn(2, 3, 8), torch.randn(8, 11)
    said = states @ matrix
    assert float(continuation_loss(said, states, states, lambda made: made @ matrix)) == pytest.approx(0, abs=1e-6)
    assert float(continuation_loss(said, states, states + 0.1, lambda made: made @ matrix)) > 1e-3


def test_training_repeats_and_leaves_the_target_alone(tmp_path):
    teacher, tokens = TinyTeacher(VOCAB, WIDTH), torch.randint(VOCAB, (6, 20), generator=torch.Generator().manual_seed(0))
    before = {key: value.clone() for key, value in teacher.model.state_dict().items()}
    recipe, ends = Recipe(steps=2, batch=2, length=12), []
    for run in ("a", "b"):
        job = prepare(teacher, tokens, recipe)
        train(job.module, job.loss, recipe, folder=tmp_path / run, name="eagle")
        assert all(weight.grad is not None for weight in job.module.parameters())
        ends.append(job.module.state_dict())
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])
    assert all(torch.equal(before[key], value) for key, value in teacher.model.state_dict().items())
    assert all(weight.grad is None for weight in teacher.model.parameters())
