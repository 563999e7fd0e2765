"""The parts of DEER, GAD and ASSD: their losses, and that training repeats."""

from dataclasses import replace

import pytest
import torch

from terntable.host.decoding.any_order import log_likelihood
from terntable.host.decoding.masked_drafter import MaskedModel
from terntable.host.decoding.training import assd, deer, gad
from terntable.host.decoding.training.spans import at_masks, cut, token_vectors
from terntable.host.decoding.training.trainer import Recipe, train
from terntable.host.decoding.two_stream import TwoStream
from tests.host.decoding.tiny_teacher import TinyTeacher

RECIPE = Recipe(steps=2, batch=3, length=40, rate=1e-3)


@pytest.fixture
def teacher():
    """A random target."""
    return TinyTeacher(40, 32)


@pytest.fixture
def tokens():
    """What it might have written."""
    return torch.randint(40, (8, 64), generator=torch.Generator().manual_seed(3))


@pytest.fixture(autouse=True)
def text(monkeypatch):
    """Windows without the books, which the target's tokenizer would be needed for."""
    monkeypatch.setattr(assd, "kjv_windows", lambda causal, count, *, length, seed: torch.randint(
        40, (32, length), generator=torch.Generator().manual_seed(seed)).numpy())


@pytest.mark.parametrize("part", [deer.PART, gad.PART, assd.PART], ids=lambda part: part.name)
def test_training_repeats_and_leaves_the_target_alone(tmp_path, teacher, tokens, part):
    before = [weight.clone() for weight in teacher.model.parameters()]
    results = []
    for run in range(2):
        job = part.prepare(teacher, tokens, RECIPE)
        first = {name: value.clone() for name, value in job.module.state_dict().items()}
        train(job.module, job.loss, RECIPE, folder=tmp_path / str(run), name=part.name)
        results.append(job.module.state_dict())
        assert all(not torch.equal(first[name], value) for name, value in results[-1].items())
    assert results[0].keys() == results[1].keys()
    assert all(torch.equal(value, results[1][name]) for name, value in results[0].items())
    assert all(torch.equal(old, now) and now.grad is None for old, now in zip(before, teacher.model.parameters(), strict=True))


@pytest.mark.parametrize("part", [deer.PART, gad.PART, assd.PART], ids=lambda part: part.name)
def test_shipped_parts_are_small(part, teacher, tokens):
    job = part.prepare(teacher, tokens, RECIPE)
    wide = sum(value.numel() for value in job.module.state_dict().values()) + 256 * (2048 - 40)
    assert 2 * wide <= 4_500_000


def test_stage_one_weighs_masks_by_their_rate(teacher, tokens, monkeypatch):
    calls = []
    monkeypatch.setattr(deer, "at_masks", lambda model, known, span, hidden, weights, **more: calls.append(
        (span, hidden, weights, more)) or torch.zeros((), requires_grad=True))
    job = deer.prepare(teacher, tokens, replace(RECIPE, steps=40))
    for step in range(40):
        job.loss(step)
    lengths = set()
    for span, hidden, weights, more in calls[:20]:
        assert more["total"] == span.numel()
        assert torch.equal(weights > 0, hidden)
        for row, shown in zip(weights, hidden, strict=True):
            assert len(set(row[shown].tolist())) <= 1 and (row[shown] >= 1).all()
        lengths.add(span.shape[1])
    for span, hidden, weights, more in calls[20:]:
        assert hidden.all() and not more
        assert weights[0, -1] == 1 and torch.allclose(weights[:, :-1] / weights[:, 1:], torch.tensor(1.01))
        lengths.add(span.shape[1])
    assert len(lengths) > 10 and max(lengths) <= 32 and min(lengths) >= 1
    assert all(hidden.all() for _, hidden, _, _ in calls) is False


def test_mask_ratios_fill_their_range():
    ratios = deer.mask_ratios(torch.Generator().manual_seed(0), 16)
    assert ((ratios >= 0.05) & (ratios <= 1)).all()
    assert torch.allclose(ratios.diff(), torch.tensor(0.95 / 16))


def test_weights_of_masks_are_of_their_own_tokens():
    torch.manual_seed(0)
    model = MaskedModel(13, width=64, layers=2, inner=64, ends=True)
    known, span = torch.randint(13, (2, 5)), torch.randint(13, (2, 4))
    hidden = torch.tensor([[True, False, True, True], [False, True, False, True]])
    weights = torch.rand(2, 4)
    logs = model.head(model(known, span, hidden)).log_softmax(dim=-1)
    expected = sum(-weights[row, place] * logs[row, place, span[row, place]] for row in range(2) for place in range(4)
                   if hidden[row, place])
    assert at_masks(model, known, span, hidden, weights, total=8).item() == pytest.approx(expected.item() / 8, rel=1e-5)
    total = weights[hidden].sum()
    assert at_masks(model, known, span, hidden, weights).item() == pytest.approx((expected / total).item(), rel=1e-5)


def test_spans_follow_what_is_known(tokens):
    recipe = replace(RECIPE, batch=4)
    for step in range(20):
        known, span = cut(recipe, step, tokens, recipe.generator(step), longest=8, window=24)
        assert 1 <= span.shape[1] <= 8 and 16 <= known.shape[1] <= 24
        whole = [row.tolist() for row in torch.cat([known, span], dim=1)]
        assert all(any(row == text[start:start + len(row)].tolist() for text in tokens for start in range(65 - len(row)))
                   for row in whole)


def test_glancing_reveals_a_share_of_the_wrong_ones():
    random = torch.Generator().manual_seed(1)
    wrong = torch.rand(50, 25, generator=random) < 0.6
    hidden = gad.glance(wrong, 0.5, random)
    assert not (~hidden & ~wrong).any()
    assert torch.equal((~hidden).sum(dim=1), wrong.sum(dim=1) // 2)
    assert gad.glance(wrong, 0.0, random).all()
    # Which ones is left to chance.
    assert not torch.equal(hidden, gad.glance(wrong, 0.5, random))
    assert gad.reveal_share(0, 100) == 0.5 and gad.reveal_share(99, 100) == pytest.approx(0.3)


def test_rates_of_gaps_rise():
    random = torch.Generator().manual_seed(1)
    assert torch.allclose(assd.gap_rates(random, 0, 100, 8), torch.tensor(0.15))
    late = assd.gap_rates(random, 70, 100, 8)
    assert late.min() >= 0.85 and late.max() <= 0.99 and torch.allclose(late.diff(), torch.tensor(0.14 / 8), atol=1e-6)


def test_ranks_have_what_is_known_first_and_ascend():
    ranks, given = assd.gaps(torch.Generator().manual_seed(1), torch.tensor([0.0, 0.5, 1.0]), 12)
    assert given.tolist() == [11, 6, 1]
    for row, known in zip(ranks, given, strict=True):
        order = row.argsort().tolist()
        assert order[:known] == sorted(order[:known]) and order[known:] == sorted(order[known:])
        assert sorted(row.tolist()) == list(range(12))


def test_the_loss_is_the_likelihood_that_decoding_sees():
    torch.manual_seed(2)
    model = TwoStream(11, width=64, layers=3, inner=64, longest=12).double().eval()
    rows = torch.randint(11, (4, 12))
    ranks, given = assd.gaps(torch.Generator().manual_seed(1), torch.tensor([0.3, 0.5, 0.7, 0.95]), 12)
    loss = assd.rank_loss(model, rows, ranks, given)
    total, count = 0.0, 0
    for row, rank, known in zip(rows, ranks, given, strict=True):
        gaps = [place for place in range(12) if rank[place] >= known]
        total, count = total - log_likelihood(model, row.tolist(), gaps), count + len(gaps)
    assert loss.item() == pytest.approx(total / count, abs=1e-9)


def test_models_begin_with_the_targets_vectors():
    teacher = TinyTeacher(40, 64)
    vectors = teacher.model.get_input_embeddings().weight
    model = token_vectors(MaskedModel(40, width=64, layers=1, inner=64), teacher)
    mine = model.embed.weight[:40].detach()
    assert torch.allclose(mine / mine.norm(), vectors / vectors.norm(), atol=1e-6) and mine.std() == pytest.approx(1 / 8, rel=1e-3)
