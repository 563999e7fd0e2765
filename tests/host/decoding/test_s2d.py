import copy

import pytest
import torch

from terntable.host.decoding.drafter import Budget, Outcome
from terntable.host.decoding.generation import run_method
from terntable.host.decoding.method import Setup
from terntable.host.decoding.methods.s2d import METHOD, SortedDrafter
from terntable.host.decoding.parts import save_part
from terntable.host.decoding.sorted_model import SortedModel
from terntable.host.decoding.torch_target import TorchTarget
from terntable.host.decoding.training import s2d
from terntable.host.decoding.training.losses import cross_entropy
from terntable.host.decoding.training.s2d import sorted_loss
from terntable.host.decoding.training.trainer import Recipe, train
from terntable.host.errors import InputError, SessionError
from terntable.host.sampling import GREEDY, Sampling
from tests.host.decoding.models import tiny
from tests.host.decoding.tiny_teacher import TinyTeacher

EXITS = (2, 3, 4)
TEXT = [3, 1, 4, 1, 5, 9, 2, 6]
WARM = Sampling(temperature=0.8, top_p=0.95, seed=5)


@pytest.fixture(scope="module")
def model():
    """Four layers; the target below has the same first two."""
    return tiny(num_hidden_layers=4)


@pytest.fixture(scope="module")
def target(model):
    """A model that agrees with the draft model at times."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        weight = other.lm_head.weight
        weight += 0.2 * weight.std() * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    return TorchTarget(other)


def cut(model, layers):
    """The first layers alone, as a model of its own."""
    short = copy.deepcopy(model)
    short.model.layers = short.model.layers[:layers]
    short.config.num_hidden_layers = layers
    return short


def fresh(model, layers, tokens):
    """Logits after tokens by the first layers, without a cache."""
    with torch.no_grad():
        return cut(model, layers)(input_ids=torch.tensor([tokens]), use_cache=False).logits[0, -1]


@pytest.mark.parametrize("family", ["Llama", "BitNet", "Qwen2"])
def test_each_exit_is_the_model_cut_there(family):
    model = tiny(family, num_hidden_layers=4)
    sorted_model = SortedModel(model, EXITS)
    sorted_model.run(TEXT)
    for level, layers in enumerate(EXITS):
        sorted_model.deepen(level)
        assert torch.allclose(sorted_model.logits(level), fresh(model, layers, TEXT), atol=1e-10)


def test_catching_up_is_computing_anew(model):
    """Steps, exits and rollbacks in any order leave what a fresh run has."""
    generator = torch.Generator().manual_seed(0)

    def draw(end):
        return int(torch.randint(end, (1,), generator=generator))

    sorted_model, known = SortedModel(model, EXITS), []
    for step in range(60):
        if known and draw(4) == 0:
            known = known[:draw(len(known) + 1)]
            sorted_model.rollback(len(known))
        more = [draw(40) for _ in range(1 + draw(3) if len(known) < 40 else 0)]
        if more:
            known += more
            sorted_model.run(more)
            deepest = draw(3)
            for level in range(deepest + 1):
                sorted_model.deepen(level)
                assert torch.allclose(sorted_model.logits(level), fresh(model, EXITS[level], known), atol=1e-10), step
        assert sorted_model.length == len(known)


def layers_run(model, thresholds, tokens=24):
    """Layers that ran, by how many rows, for a generation."""
    rows = {}
    hooks = [layer.register_forward_pre_hook(lambda module, given, index=index: rows.update(
        {index: rows.get(index, 0) + given[0].shape[1]})) for index, layer in enumerate(model.model.layers)]
    target = TorchTarget(tiny(seed=3))
    drafter = METHOD.decoder(Setup(target, GREEDY), {"draft": model, "exits": "2,3,4", "thresholds": thresholds}).drafter
    try:
        drafter.start(TEXT)
        tree = drafter.propose(TEXT, Budget(tokens, tokens))
    finally:
        for hook in hooks:
            hook.remove()
    assert sum(drafter.exits) == len(tree) - 1 == 5
    return rows, drafter


def test_layers_behind_an_exit_run_for_those_that_stay(model):
    rows, drafter = layers_run(model, "0,0,0")
    assert set(rows) == {0, 1} and drafter.exits == [5, 0, 0]
    rows, drafter = layers_run(model, "1.1,0,0")
    assert set(rows) == {0, 1, 2} and drafter.exits == [0, 5, 0]
    rows, drafter = layers_run(model, "1.1,1.1,0")
    # The last draft is never run, and no row is run twice.
    assert rows == dict.fromkeys(range(4), len(TEXT) + 4) and drafter.exits == [0, 0, 5]


def test_exits_at_the_first_sure_level(model):
    drafter = SortedDrafter(SortedModel(model, EXITS), (0.15, 0.2, 0.0), gamma=12)
    drafter.start(TEXT)
    tree = drafter.propose(TEXT, Budget(20, 20))
    text, left = list(TEXT), [0, 0, 0]
    for node in range(1, len(tree)):
        laws = [torch.softmax(fresh(model, layers, text), 0) for layers in EXITS]
        level = next((level for level, sure in enumerate((0.15, 0.2)) if laws[level].max() > sure), 2)
        left[level] += 1
        assert tree.tokens[node] == int(laws[level].argmax())
        assert tree.estimates[node] == pytest.approx(float(laws[level].max()), rel=1e-9)
        text.append(tree.tokens[node])
    assert left == drafter.exits and sum(count > 0 for count in left) > 1


@pytest.mark.parametrize("sampling", [GREEDY, WARM], ids=["greedy", "warm"])
@pytest.mark.parametrize("thresholds", ["0,0,0", "0.2,0.2,0", "2,2,0"])
def test_says_what_plain_decoding_says(model, target, sampling, thresholds):
    options = {"draft": model, "exits": "2,3,4", "thresholds": thresholds}
    for one in (target, TorchTarget(tiny(seed=3, num_hidden_layers=2))):
        alone = run_method(one, "greedy", TEXT, max_tokens=30, sampling=sampling)
        done = run_method(one, METHOD, TEXT, options=options, max_tokens=30, sampling=sampling)
        assert done.tokens == alone.tokens


def test_the_targets_own_model_is_accepted_in_full(model):
    done = run_method(TorchTarget(model), METHOD, TEXT, options={"draft": model, "exits": "4"}, max_tokens=40)
    # Drafts of 5, 7, 9 and 11 tokens, and the one of the target after each; then the rest.
    assert done.ledger.emitted == [6, 8, 10, 12, 4]


def test_size_of_the_draft_follows_what_was_accepted(model):
    drafter = SortedDrafter(SortedModel(model, EXITS), (0, 0, 0))
    drafter.start(TEXT)
    text = list(TEXT)
    for accepted, budget, following in ((5, 20, 7), (7, 20, 9), (3, 20, 8), (4, 4, 8), (0, 20, 7), (2, 3, 6)):
        tree = drafter.propose(text, Budget(budget, 20))
        path = list(range(accepted + 1))
        tokens = [*tree.tokens[1:accepted + 1], 0]
        drafter.observe(Outcome(tree, 0, path, tokens, None, len(text)))
        text += tokens
        if len(text) > 45:
            text = list(TEXT)
            drafter.model.rollback(0)
        assert len(drafter.propose(text, Budget(50, 50))) - 1 == following
        drafter.model.rollback(0)


def test_cost_is_of_the_levels_that_ran(model, target):
    _, drafter = layers_run(model, "1.1,0,0")
    layer = sum(weight.numel() for weight in model.model.layers[0].parameters())
    head = 40 * 32
    assert drafter.ledger.draft_forwards == 5
    assert drafter.ledger.draft_units * TorchTarget(tiny(seed=3)).layer_weights == pytest.approx(5 * (3 * layer + 2 * head))


def test_end_of_the_draft_models_context(target):
    short = tiny(num_hidden_layers=4, max_position_embeddings=16)
    alone = run_method(target, "greedy", TEXT, max_tokens=30)
    assert run_method(target, METHOD, TEXT, options={"draft": short}, max_tokens=30).tokens == alone.tokens


def test_trained_part(model, target, tmp_path):
    save_part(tmp_path / "toy" / "s2d.safetensors", {"config": model.config.to_diff_dict() | {"exits": [1, 4]}},
              {name: value.float().numpy() for name, value in model.state_dict().items()})
    decoder = METHOD.decoder(Setup(target, GREEDY, "toy", parts=tmp_path))
    assert decoder.drafter.model.exits == (1, 4) and decoder.drafter.thresholds == (0.5, 0.0)


def test_training_is_of_all_exits(monkeypatch, tmp_path):
    text = torch.randint(40, (16, 1), generator=torch.Generator().manual_seed(1)) + torch.arange(33)
    rows = text % 40
    monkeypatch.setattr(s2d, "kjv_windows", lambda causal, count, *, length, seed: rows.repeat(12, 1)[:count].numpy())
    recipe = Recipe(steps=15, batch=4, length=32, rate=1e-2)
    job = s2d.prepare(TinyTeacher(40, 32), torch.zeros(0), recipe)

    def losses():
        with torch.no_grad():
            said = [cut(job.module, layers)(input_ids=rows[:, :-1]).logits for layers in s2d.EXITS]
        return [cross_entropy(logits, rows[:, 1:]).item() for logits in said]

    before = losses()
    assert sorted_loss(job.module, s2d.EXITS, rows).item() == pytest.approx(sum(before) / 3, rel=1e-5)
    train(job.module, job.loss, recipe, folder=tmp_path, name="s2d")
    # The text counts up, which each exit learns.
    assert all(now < 0.8 * old for now, old in zip(losses(), before, strict=True))
    tensors = {name: value.numpy() for name, value in job.module.state_dict().items() if not name.startswith(job.frozen)}
    save_part(tmp_path / "toy" / "s2d.safetensors", {"config": job.config}, tensors)
    drafter = METHOD.decoder(Setup(TorchTarget(tiny()), GREEDY, "toy", parts=tmp_path)).drafter
    assert drafter.model.exits == s2d.EXITS
    drafter.start([7, 8, 9])
    assert len(drafter.propose([7, 8, 9], Budget(9, 9))) == 6


def test_refusals(model, target):
    def refused(words, **options):
        with pytest.raises(InputError, match=words):
            METHOD.decoder(Setup(target, GREEDY), {"draft": model} | options)

    refused(r"rise from at least 1 to the model's 4 layers, not be \[3, 2, 4\]", exits="3,2,4")
    refused(r"rise from at least 1 to the model's 4 layers, not be \[2, 3\]", exits="2,3")
    refused(r"A model of 3 exits needs as many thresholds, not 2, and a gamma of at least 1, not 5", thresholds="0.5,0")
    refused(r"at least 1, not 0", gamma=0)
    refused(r"Option thresholds of method s2d must be numbers with commas, not 'much'", thresholds="much")
    refused(r"has 50 tokens and target torch has 40", draft=tiny(vocab_size=50))
    refused(r"built as Llama is, but a GPT2LMHeadModel is not", draft=tiny("GPT2"))
    sorted_model = SortedModel(model, EXITS)
    sorted_model.run(TEXT)
    with pytest.raises(SessionError, match=r"Level 1 has run 0 tokens of 8"):
        sorted_model.logits(1)
    with pytest.raises(SessionError, match=r"A rollback to 9 is impossible: the session holds 8"):
        sorted_model.rollback(9)
