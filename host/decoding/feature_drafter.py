"""What drafters have in common that read the target's last hidden states (EAGLE, Chimera, SpecVLM)."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from terntable.host.decoding.draft_layer import LayerCache
from terntable.host.decoding.drafter import Budget, Drafter, Outcome
from terntable.host.decoding.ledger import Ledger
from terntable.host.decoding.method import Setup
from terntable.host.decoding.parts import kept, load_part, part_file
from terntable.host.decoding.target import LAST
from terntable.host.decoding.tree import DraftTree
from terntable.host.errors import InputError
from terntable.host.sampling import GREEDY, Sampling

__all__ = ["FeatureDrafter", "fill", "likeliest", "place", "trained_module", "tree_mask"]

M = TypeVar("M", bound=nn.Module)


class FeatureDrafter(Drafter):
    """Keeps the target's states of committed tokens, and a cache of one drafter layer that is made of nothing else.

    States that the drafter made up itself enter the cache only while a tree grows; they are forgotten afterwards, and after the
    verification the true states of the accepted tokens take their place. The first round has no states yet, so it drafts nothing.

    Parameters
    ----------
    target : with hidden states, and with embedding and output layer on the host: a `TorchTarget` or an `AcceleratorTarget`.

    Attributes
    ----------
    text : known tokens.
    states : of committed tokens that are not in the cache yet (n, width); that of the last known token is never among them.
    cache : of the drafter's layer.

    """

    hidden = (LAST,)

    def __init__(self, target: Any) -> None:
        self.target = target

    def start(self, tokens: Sequence[int], sampling: Sampling = GREEDY, ledger: Ledger | None = None) -> None:
        """Begin with an empty cache."""
        super().start(tokens, sampling, ledger)
        self.text, self.states, self.cache = list(tokens), None, LayerCache()

    def propose(self, tokens: Sequence[int], budget: Budget) -> DraftTree:
        """What `grow` makes, once there are states."""
        self.text = list(tokens)
        if self.states is None or min(budget.nodes, budget.depth) < 1:
            return DraftTree(tokens[-1])
        with torch.inference_mode():
            states, self.states = self.states, None
            known = self.refresh(states)
            kept = self.cache.length
            tree = self.grow(known, budget)
            self.cache.rollback(kept)
        return tree

    def observe(self, outcome: Outcome) -> None:
        """Take the states of what was committed."""
        rows = [*range(outcome.prefix), *(outcome.prefix + node for node in outcome.path)]
        with torch.inference_mode():
            fresh = outcome.scores.hidden[LAST][rows]
            self.states = fresh if self.states is None else torch.cat([self.states, fresh])

    def book(self, weights: int) -> None:
        """Book a draft forward that reads so many weights besides those of the target's output layer."""
        self.ledger.draft(units=(weights + self.target.vocab * self.target.width) / self.target.layer_weights)

    @abstractmethod
    def refresh(self, states: Tensor) -> Any:
        """Bring the cache up to date with true states (n, width), n at least 1; what `grow` needs of them."""

    @abstractmethod
    def grow(self, known: Any, budget: Budget) -> DraftTree:
        """A tree below the last known token; rows that it appends to the cache are forgotten."""


def trained_module(method: str, setup: Setup, name: str, make: Callable[[int], M]) -> M:
    """A module for the target's width, filled with a trained part, in the target's numbers and where the target is.

    Raises
    ------
    InputError
        There is no such part, or it is not of the module's shapes.

    """
    target: Any = setup.target

    def made() -> M:
        module = make(target.width)
        fill(module, load_part(method, setup.model, name, setup.parts)[1], name)
        place(module, target)
        return module

    return kept(part_file(setup.model, name, setup.parts), made, target.width, target.dtype, target.device)


def fill(module: nn.Module, tensors: Mapping[str, NDArray], name: str) -> None:
    """Put the tensors of a part into a module; InputError if they are not those that it has."""
    shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    if shapes != {key: value.shape for key, value in tensors.items()}:
        raise InputError(f"The trained part {name} was made for a model of other sizes")
    module.load_state_dict({key: torch.from_numpy(value) for key, value in tensors.items()})


def place(module: nn.Module, target: Any) -> None:
    """Move a module to where the target is, for use without gradients."""
    module.to(device=target.device, dtype=target.dtype).eval().requires_grad_(False)


def likeliest(logits: Tensor, count: int) -> list[list[tuple[int, float]]]:
    """The `count` likeliest tokens of each row of logits (n, vocab), likeliest first, with log-probabilities."""
    values, tokens = torch.log_softmax(logits.float(), dim=-1).topk(min(count, logits.shape[-1]), dim=-1)
    return [list(zip(*row, strict=True)) for row in zip(tokens.tolist(), values.tolist(), strict=True)]


def tree_mask(seen: int, rows: Sequence[Sequence[int]], device: Any = None) -> Tensor:
    """Mask (n, columns) of n rows that enter a cache, each seeing the first `seen` rows and those listed for it, itself the last.

    The rows are the last ones of the cache, in the order of `rows`.
    """
    mask = torch.zeros(len(rows), rows[-1][-1] + 1, dtype=torch.bool)
    mask[:, :seen] = True
    for row, columns in enumerate(rows):
        mask[row, list(columns)] = True
    return mask.to(device)
