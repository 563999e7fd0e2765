import pytest
import torch

from terntable.host.decoding import rules
from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.draft_model import PLAIN, BestFirst, Chain, DraftModel
from terntable.host.decoding.drafter import Budget
from terntable.host.decoding.generation import run_method
from terntable.host.decoding.law import TokenLaw
from terntable.host.decoding.loop import decode
from terntable.host.decoding.method import Setup
from terntable.host.decoding.methods.speculative import METHOD
from terntable.host.decoding.parts import save_part
from terntable.host.decoding.rules import Match, Ratio
from terntable.host.decoding.torch_target import TorchTarget
from terntable.host.errors import InputError
from terntable.host.sampling import GREEDY, Sampling, token_law
from tests.host.decoding.enumeration import Choices, distance
from tests.host.decoding.fakes import Table, TableTarget
from tests.host.decoding.models import tiny
from tests.host.decoding.test_loop_laws import PROMPT, WARM, plain

WARM_AND_CUT = Sampling(temperature=0.8, top_k=12, seed=5)
TEXT = [3, 1, 4, 1, 5]


@pytest.fixture(scope="module")
def target():
    """A tiny model."""
    return TorchTarget(tiny())


@pytest.fixture(scope="module")
def draft():
    """One that says the same at times."""
    model = tiny()
    with torch.no_grad():
        weight = model.lm_head.weight
        weight += 0.2 * weight.std() * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    return model


def joint(monkeypatch, table, make, rule, count):
    """Law of `count` tokens, over all draws of a drafter and of a rule; `make` makes the drafter."""
    choices = Choices()
    monkeypatch.setattr(rules, "pick", choices.pick)
    monkeypatch.setattr(TokenLaw, "draw", lambda law, u: choices.of(law.p))
    drafter = make()

    def run():
        rounds = decode(TableTarget(table), PROMPT, drafter=drafter, rule=rule, sampling=WARM, max_tokens=count)
        return tuple(token for outcome in rounds for token in outcome.tokens)

    return choices.law(run)


def drafting(seed, vocab):
    """A draft model of random laws; some tokens have none of them."""
    return DraftModel(TableTarget(Table(seed, vocab)), 0.5)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("make", "rule"), [
    (lambda seed: Chain(drafting(seed, 3), 2), Ratio()),
    (lambda seed: BestFirst(drafting(seed, 3), nodes=5, depth=2, width=2), Match()),
], ids=["chain", "tree"])
def test_keeps_the_joint_law(monkeypatch, seed, make, rule):
    table = Table(seed, 3)
    found = joint(monkeypatch, table, lambda: make(seed + 1000), rule, 4)
    assert distance(found, plain(table, 4)) < 1e-12


@pytest.mark.parametrize("nodes", [0, 12])
@pytest.mark.parametrize("sampling", [GREEDY, WARM_AND_CUT], ids=["greedy", "warm"])
def test_draft_model_that_is_the_target(target, sampling, nodes):
    done = run_method(target, METHOD, TEXT, options={"draft": tiny(), "gamma": 3, "nodes": nodes}, max_tokens=24, sampling=sampling)
    if nodes:
        assert done.ledger.tokens_per_forward >= 2
    else:
        assert done.ledger.emitted == [4] * 6
        assert done.ledger.draft_forwards == 3 * 6


@pytest.mark.parametrize("options", [{}, {"gamma": 2}, {"nodes": 9, "width": 4}, {"nodes": 30}], ids=str)
@pytest.mark.parametrize("sampling", [GREEDY, WARM_AND_CUT], ids=["greedy", "warm"])
def test_says_what_plain_decoding_says(target, draft, sampling, options):
    alone = run_method(target, "greedy", TEXT, max_tokens=40, sampling=sampling)
    done = run_method(target, METHOD, TEXT, options={"draft": draft} | options, max_tokens=40, sampling=sampling)
    # Above temperature 0 a chain keeps the law, not the tokens.
    if sampling.greedy or "nodes" in options:
        assert done.tokens == alone.tokens
    assert done.ledger.draft_forwards > 0


@pytest.mark.parametrize("kind", [lambda model: Chain(model, 4), lambda model: BestFirst(model, nodes=10, depth=3, width=3)],
                         ids=["chain", "tree"])
@pytest.mark.parametrize("sampling", [GREEDY, WARM_AND_CUT], ids=["greedy", "warm"])
def test_draft_model_knows_the_known_tokens_only(target, draft, kind, sampling):
    """Each estimate is what a model without a cache gives the token."""
    drafter, seen = kind(DraftModel(TorchTarget(draft), 1.0)), []
    inner = drafter.propose
    given = sampling if isinstance(drafter, Chain) and not sampling.greedy else PLAIN

    def propose(tokens, budget):
        tree = inner(tokens, budget)
        for node in range(1, len(tree)):
            text = [*tokens[:-1], *(tree.tokens[one] for one in tree.path(tree.parents[node]))]
            with torch.no_grad():
                fresh = token_law(draft(torch.tensor([text])).logits[0, -1].numpy(), given)
            assert tree.estimates[node] == pytest.approx(fresh[tree.tokens[node]], rel=1e-9)
            seen.append(node)
        return tree

    drafter.propose = propose
    rule = Ratio() if isinstance(drafter, Chain) else Match()
    accepted = sum(len(outcome.path) - 1 for outcome in decode(target, TEXT, drafter=drafter, rule=rule, max_tokens=30,
                                                               sampling=sampling))
    assert len(seen) > 30 and accepted > 0


def test_keeps_to_its_budget(draft):
    model = DraftModel(TorchTarget(draft), 1.0)
    for drafter in (Chain(model, 4), BestFirst(model, nodes=10, depth=3)):
        drafter.start(TEXT)
        for nodes in (0, 1, 5, 50):
            for depth in (0, 1, 2, 9):
                tree = drafter.propose(TEXT, Budget(nodes, depth))
                assert len(tree) - 1 <= nodes and max(tree.depths) <= depth
                model.runner.rollback(0)


@pytest.mark.parametrize("nodes", [0, 8])
def test_draft_model_of_a_shorter_context(target, nodes):
    alone = run_method(target, "greedy", TEXT, max_tokens=40)
    draft = tiny(seed=1, max_position_embeddings=16)
    done = run_method(target, METHOD, TEXT, options={"draft": draft, "nodes": nodes}, max_tokens=40)
    assert done.tokens == alone.tokens


def test_estimates_and_cost(target, draft):
    chain = Chain(DraftModel(TorchTarget(draft), 1.0), 2)
    chain.start(TEXT)
    tree = chain.propose(TEXT, Budget(9, 9))
    with torch.no_grad():
        assert tree.estimates[1] == pytest.approx(torch.softmax(draft(torch.tensor([TEXT])).logits[0, -1], 0).max().item())
    decoder = METHOD.decoder(Setup(target, GREEDY), {"draft": draft})
    head = 40 * 32
    assert decoder.drafter.model.units == pytest.approx(3 + head / target.layer_weights)


def test_trained_part(target, draft, tmp_path):
    config = draft.config.to_diff_dict()
    save_part(tmp_path / "toy" / "draft.safetensors", {"config": config},
              {name: value.float().numpy() for name, value in draft.state_dict().items()})
    done = run_method(target, METHOD, TEXT, max_tokens=20, model="toy", parts=tmp_path)
    assert done.tokens == run_method(target, "greedy", TEXT, max_tokens=20).tokens
    assert done.ledger.draft_forwards > 0


def test_refusals(target, tmp_path):
    with pytest.raises(InputError, match=r"draft model of the target's vocabulary, but it has 50 tokens and target torch has 40"):
        METHOD.decoder(Setup(target, GREEDY), {"draft": tiny(vocab_size=50)})
    with pytest.raises(InputError, match=r"speculative needs the trained part draft"):
        METHOD.decoder(Setup(target, GREEDY, "nothing", parts=tmp_path))
    with pytest.raises(InputError, match=r"must be at least 1 and nodes at least 0, not 0, 10 and 0"):
        METHOD.decoder(Setup(target, GREEDY), {"gamma": 0})
    chains = TableTarget(Table(0, 40))
    chains.capabilities = Capability.CHAIN
    with pytest.raises(InputError, match=r"needs tree masks"):
        METHOD.decoder(Setup(chains, GREEDY), {"nodes": 4})
    with pytest.raises(InputError, match=r"needs full logits"):
        METHOD.decoder(Setup(chains, WARM))
