"""A second, smaller model that says what the target may say: chains drawn or chosen from it, and trees of its likeliest tokens.

What runs the model is a `DecodingTarget` of its own, whose cache holds nothing but known tokens and those of the draft in progress.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any

from terntable.host.decoding.drafter import Budget, Drafter, Outcome
from terntable.host.decoding.eagle_tree import dynamic_tree
from terntable.host.decoding.law import TokenLaw, Uniforms
from terntable.host.decoding.ledger import Ledger
from terntable.host.decoding.method import Setup
from terntable.host.decoding.parts import kept, load_part, part_file
from terntable.host.decoding.target import DecodingTarget
from terntable.host.decoding.tree import DraftTree
from terntable.host.errors import InputError
from terntable.host.sampling import GREEDY, Sampling

__all__ = ["PLAIN", "BestFirst", "Chain", "DraftModel", "ModelDrafter", "draft_model", "small_model", "trained_model"]

#: The law by which tokens are ranked, whatever they are drawn with.
PLAIN = Sampling(temperature=1.0)
#: Name of the draft model among a model's parts.
PART = "draft"


@dataclass(frozen=True, eq=False)
class DraftModel:
    """What runs the draft model, and what a forward of it reads.

    Attributes
    ----------
    runner : a sequence in the model.
    units : weights of a forward, in those of a layer of the target.

    """

    runner: DecodingTarget
    units: float


class ModelDrafter(Drafter):
    """Keeps the draft model's sequence beside the target's."""

    def __init__(self, model: DraftModel) -> None:
        self.model = model

    def start(self, tokens: Sequence[int], sampling: Sampling = GREEDY, ledger: Ledger | None = None) -> None:
        """Begin with an empty cache; the prompt is read with the first draft."""
        super().start(tokens, sampling, ledger)
        self.model.runner.rollback(0)

    def observe(self, outcome: Outcome) -> None:
        """Forget the tokens that were not accepted."""
        runner = self.model.runner
        runner.rollback(min(runner.length, outcome.length + len(outcome.path) - 1))

    def laws(self, tokens: Sequence[int], tree: DraftTree, sampling: Sampling, wanted: Sequence[int]) -> list[TokenLaw]:
        """Laws of the tokens after some nodes of a tree, which follows all of `tokens` but the last, its root; one forward."""
        runner = self.model.runner
        scores = runner.score(tree, tokens[runner.length:len(tokens) - 1], logits=True)
        self.ledger.draft(units=self.model.units)
        return [scores.law(node, sampling) for node in wanted]

    def room(self, tokens: Sequence[int], rows: int) -> bool:
        """Whether the draft model has room for so many rows after the known tokens, the last of these among the rows."""
        runner = self.model.runner
        return rows <= runner.rows and len(tokens) - 1 + rows <= runner.context


class Chain(ModelDrafter):
    """A chain of at most `length` tokens, drawn from the model's laws, or its likeliest ones at temperature 0."""

    def __init__(self, model: DraftModel, length: int = 5) -> None:
        super().__init__(model)
        self.length = length

    def propose(self, tokens: Sequence[int], budget: Budget) -> DraftTree:
        """One forward of the draft model for each token; each runs the token before it."""
        tree, node, text = DraftTree(tokens[-1]), 0, list(tokens)
        for _ in range(min(self.length, budget.nodes, budget.depth)):
            if not self.room(text, 1):
                break
            law = self.laws(text, DraftTree(text[-1]), PLAIN if self.sampling.greedy else self.sampling, [0])[0]
            self.model.runner.commit([0])
            if self.sampling.greedy:
                token = law.best()
            else:
                token = law.draw(Uniforms(self.sampling.seed, len(text), lane=1)())
                tree.laws[node] = law
            node = tree.add(node, token, law.prob(token))
            text.append(token)
        return tree


class BestFirst(ModelDrafter):
    """The likeliest continuations by the product of the model's probabilities (EAGLE-2's tree, Li et al. 2024, with any model).

    Parameters
    ----------
    nodes : of the tree, without its root.
    depth : levels.
    width : children of a node, and nodes of a level that get children.

    """

    def __init__(self, model: DraftModel, *, nodes: int, depth: int, width: int = 10) -> None:
        super().__init__(model)
        self.nodes, self.depth, self.width = nodes, depth, width

    def propose(self, tokens: Sequence[int], budget: Budget) -> DraftTree:
        """One forward of the draft model for each level, over all nodes that have got children so far."""
        # The rows of the draft model are those nodes that get children.
        rows, places = DraftTree(tokens[-1]), {0: 0}

        def expand(tree: DraftTree, level: Sequence[int]) -> list[list[tuple[int, float]]]:
            for node in level:
                if node:
                    places[node] = rows.add(places[tree.parents[node]], tree.tokens[node])
            if not self.room(tokens, len(rows)):
                return [[] for _ in level]
            laws = self.laws(tokens, rows, PLAIN, [places[node] for node in level])
            return [[(token, log(law.prob(token))) for token in law.top(self.width)] for law in laws]

        return dynamic_tree(tokens[-1], expand, width=self.width, depth=min(self.depth, budget.depth),
                            nodes=min(self.nodes, budget.nodes))


def draft_model(method: str, setup: Setup, draft: Any = "") -> DraftModel:
    """The draft model that the user gives, else the one that was trained for the target's model.

    Parameters
    ----------
    draft : a Hugging Face directory, or a causal language model of transformers.

    Raises
    ------
    InputError
        There is none, or its vocabulary is not the target's.

    """
    from terntable.host.decoding.torch_target import TorchTarget

    model, _ = small_model(method, setup, draft, PART)
    runner = TorchTarget(model)
    head = model.get_output_embeddings()
    weights = runner.layers * runner.layer_weights + (head.weight.numel() if head is not None else 0)
    return DraftModel(runner, weights / setup.target.layer_weights)


def small_model(method: str, setup: Setup, draft: Any, part: str) -> tuple[Any, dict[str, Any]]:
    """A model of transformers that the user gives, else that of a trained part, with the part's recipe; beside the target.

    Raises
    ------
    InputError
        There is none, or its vocabulary is not the target's.

    """
    # Beside a model on a GPU the draft model runs there too.
    beside = getattr(setup.target, "model", None)
    device = None if beside is None else beside.device
    if not draft:
        model, recipe = kept(part_file(setup.model, part, setup.parts),
                             lambda: trained_model(method, setup.model, part, setup.parts), device)
    elif isinstance(draft, (str, Path)):
        from terntable.host.decoding.loading import load_model

        model, recipe = load_model(str(draft)).model, {}
    else:
        model, recipe = draft, {}
    vocab, target = model.config.get_text_config().vocab_size, setup.target
    if vocab != target.vocab:
        raise InputError(f"Method {method} needs a draft model of the target's vocabulary, but it has {vocab} tokens and target "
                         f"{target.name} has {target.vocab}")
    return (model if device is None else model.to(device)), recipe


def trained_model(method: str, target: str | None, part: str = PART, folder: Path | None = None) -> tuple[Any, dict[str, Any]]:
    """The model of a part that was trained for a target, by its name, and its recipe; InputError if there is none."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    recipe, tensors = load_part(method, target, part, folder)
    # Exits are no setting of transformers.
    config = LlamaConfig(**{name: value for name, value in recipe["config"].items() if name != "exits"})
    if config.tie_word_embeddings:
        tensors.setdefault("lm_head.weight", tensors["model.embed_tokens.weight"])
    model = LlamaForCausalLM(config).eval()
    model.load_state_dict({name: torch.from_numpy(values).float() for name, values in tensors.items()})
    return model, recipe
