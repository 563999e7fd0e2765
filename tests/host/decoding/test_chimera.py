"""Chimera's net and drafter on a tiny target."""

import pytest
import torch

from terntable.host.decoding.chimera_drafter import HEADS, PATHS, Chimera, Trigrams, chimera_net
from terntable.host.decoding.drafter import Budget
from terntable.host.decoding.feature_drafter import place
from terntable.host.decoding.rules import Deterministic
from terntable.host.decoding.training.chimera import prepare, unroll
from terntable.host.decoding.training.trainer import Recipe, train
from tests.host.decoding.feature_cases import PROMPT, VOCAB, WIDTH, keep, rebuilt_equals_kept, same_as_plain, tiny_target
from tests.host.decoding.tiny_teacher import TinyTeacher


@pytest.fixture(scope="module")
def target():
    return tiny_target()


@pytest.fixture
def net(target):
    torch.manual_seed(1)
    net = chimera_net(target.width)
    place(net, target)
    return net


def test_the_listed_tree():
    assert len(PATHS) == len(set(PATHS)) == 25
    assert sum(len(path) == 1 for path in PATHS) == 4 and max(map(len, PATHS)) == HEADS == 5
    assert all(path[:-1] in ("", *PATHS) for path in PATHS)


def test_gives_what_plain_decoding_gives(target, net, tmp_path):
    keep(tmp_path, "chimera", net)
    drafted, _ = same_as_plain(target, "chimera", tmp_path)
    # All rounds but the first, and those near the end, draft the whole tree.
    assert max(drafted.ledger.drafted) > 4 and len(drafted.ledger.drafted) == 5
    assert drafted.ledger.verify_width > 15


@pytest.mark.parametrize(("nodes", "depth"), [(25, 5), (60, 9), (8, 5), (25, 2), (1, 1), (0, 0)])
def test_keeps_to_its_budget(target, net, nodes, depth):
    drafter = Chimera(target, net)
    drafter.start(PROMPT)
    drafter.states = torch.randn(len(PROMPT) - 1, WIDTH, dtype=torch.float64)
    tree = drafter.propose(PROMPT, Budget(nodes, depth))
    listed = sum(len(path) <= depth for path in PATHS)
    assert len(tree) - 1 == min(nodes, listed) and max(tree.depths) <= depth
    assert drafter.cache.length == (len(PROMPT) - 1 if nodes else 0)


def test_the_cache_holds_true_states_only(target, net):
    held, known = rebuilt_equals_kept(target, Chimera(target, net), Deterministic(),
                                      lambda states, text, held: net.layer(states[None, :held], torch.arange(held))[1])
    assert len(PROMPT) < held < known


def test_a_trigram_is_the_same_looked_up(target, net):
    drafter = Chimera(target, net)
    first = drafter.trigram([7, 3, 4, 5])
    assert drafter.trigram([9, 3, 4, 5]) is first and not torch.equal(drafter.trigram([4, 3, 5]), first)
    for short, whole in (([3], [3, 3, 3]), ([3, 4], [3, 3, 4])):
        assert drafter.trigram(short) is drafter.trigram(whole)
    torch.testing.assert_close(first, net.trigrams(target.embed([3, 4, 5]).reshape(1, -1)))


def test_begins_as_the_sum_of_state_and_context():
    torch.manual_seed(0)
    net = chimera_net(WIDTH)
    state, context = torch.randn(3, WIDTH), torch.randn(3, WIDTH)
    for head in range(HEADS):
        torch.testing.assert_close(net.join(head, state, context), state + context)
    encoder = Trigrams(WIDTH)
    three = torch.randn(2, 3 * WIDTH)
    torch.testing.assert_close(encoder(three), encoder.out(three))


def test_training_makes_what_decoding_makes(target, net):
    """Place j of the unrolled training is a draft after token j + 1 along the likeliest tokens."""
    text = [1, 2, 3, 9, 5, 7]
    states = torch.randn(1, len(text), WIDTH, dtype=torch.float64)
    with torch.inference_mode():
        made = unroll(net, torch.tensor([text]), states, target.model.get_input_embeddings(), target.model.get_output_embeddings())
    for place_ in range(len(text) - 1):
        drafter = Chimera(target, net, ("0", "00", "000"))
        drafter.start(text[:place_ + 2])
        drafter.states = states[0, :place_ + 1]
        tree = drafter.propose(text[:place_ + 2], Budget(9, 9))
        assert tree.tokens[1:] == [int(made[step][1][0, place_].argmax()) for step in range(3)]
        assert tree.estimates[3] == pytest.approx(float(made[2][1][0, place_].softmax(-1).max()), rel=1e-5)


def test_a_draft_depends_on_drafted_tokens_before_it_only(target, net):
    states, trees = torch.randn(len(PROMPT) - 1, WIDTH, dtype=torch.float64), []
    for paths in (("0", "00", "000"), ("0", "1", "00", "10", "000", "100")):
        drafter = Chimera(target, net, paths)
        drafter.start(PROMPT)
        drafter.states = states
        trees.append(drafter.propose(PROMPT, Budget(9, 9)))
    alone, both = trees
    left, right = both.path(5), both.path(6)
    # Another first token changes what follows, but not what follows the first one beside it.
    assert both.estimates[left[2]] != both.estimates[right[2]]
    assert alone.tokens == [both.tokens[node] for node in left]
    assert alone.estimates == pytest.approx([both.estimates[node] for node in left])


def test_training_repeats_and_leaves_the_target_alone(tmp_path):
    teacher, tokens = TinyTeacher(VOCAB, WIDTH), torch.randint(VOCAB, (6, 20), generator=torch.Generator().manual_seed(0))
    before = {key: value.clone() for key, value in teacher.model.state_dict().items()}
    recipe, ends = Recipe(steps=2, batch=2, length=12), []
    for run in ("a", "b"):
        job = prepare(teacher, tokens, recipe)
        train(job.module, job.loss, recipe, folder=tmp_path / run, name="chimera")
        assert all(weight.grad is not None for weight in job.module.parameters())
        ends.append(job.module.state_dict())
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])
    assert all(torch.equal(before[key], value) for key, value in teacher.model.state_dict().items())
    assert all(weight.grad is None for weight in teacher.model.parameters())
