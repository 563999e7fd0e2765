"""SpecTr: several drafts at once, chosen among by near-optimal transport (Sun et al. 2023, arXiv 2310.15141).

`drafts` sequences of `length` tokens are drawn independently from the draft model and verified in one tree, in which they share a
node as far as they are equal. At each node rule k-SEQ gets the tokens of all sequences that are still alive there, equal ones as
often as they were drawn, and the sequences with the token that comes out stay alive. Their further tokens are independent draws
given what was emitted, so the rule holds again.

The paper gives k-SEQ's factor as a root, which bisection finds here to the last bit. It leaves open what happens where fewer rows
are left than the drafts may need, at the end of the context: there the drafts are shorter, then fewer, whatever they hold. At
temperature 0 all drafts are equal, so one is made.

Cost: `length` forwards of the draft model a round, over all sequences at once; rows of a pass up to drafts x length + 1.
"""

from collections.abc import Sequence
from typing import Any

from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.draft_model import PLAIN, DraftModel, ModelDrafter, draft_model
from terntable.host.decoding.drafter import Budget
from terntable.host.decoding.kseq import KSeq
from terntable.host.decoding.law import Uniforms
from terntable.host.decoding.method import Decoder, Method, Setup
from terntable.host.decoding.tree import DraftTree
from terntable.host.errors import InputError

__all__ = ["METHOD", "IndependentDrafts"]


class IndependentDrafts(ModelDrafter):
    """Sequences drawn independently from the draft model.

    Parameters
    ----------
    drafts, length : how many, and the tokens of each.

    """

    def __init__(self, model: DraftModel, drafts: int = 8, length: int = 8) -> None:
        super().__init__(model)
        self.drafts, self.length = drafts, length

    def propose(self, tokens: Sequence[int], budget: Budget) -> DraftTree:
        """One forward of the draft model for each token of the sequences; number k of a position draws that of sequence k."""
        drafts, length = self._fitting(tokens, budget)
        tree, greedy = DraftTree(tokens[-1]), self.sampling.greedy
        # The node that each sequence has come to.
        ends = [0] * drafts
        for depth in range(length):
            nodes = list(dict.fromkeys(ends))
            found = self.laws(tokens, tree, PLAIN if greedy else self.sampling, nodes)
            laws = dict(zip(nodes, found, strict=True))
            if not greedy:
                tree.laws.update(laws)
            uniforms = Uniforms(self.sampling.seed, len(tokens) + depth, lane=1)
            for number, node in enumerate(ends):
                law = laws[node]
                token = law.best() if greedy else law.draw(uniforms(number))
                ends[number] = tree.add(node, token, law.prob(token))
        return tree

    def _fitting(self, tokens: Sequence[int], budget: Budget) -> tuple[int, int]:
        """Drafts and their length for which there is room; the tokens that are drawn must not decide it."""
        drafts, length = 1 if self.sampling.greedy else self.drafts, min(self.length, budget.depth)
        drafts = min(drafts, budget.nodes)
        length = min(length, budget.nodes // drafts) if drafts else 0
        # The tokens drawn last are no rows of the draft model.
        while length and not self.room(tokens, 1 + drafts * (length - 1)):
            length -= 1
        return drafts, length


def build(setup: Setup, *, draft: Any = "", drafts: int = 8, length: int = 8) -> Decoder:
    """`draft` is a Hugging Face directory, or a model of transformers; without it the part `draft` of the target's model."""
    if drafts < 1 or length < 1:
        raise InputError(f"Drafts and length must be at least 1, not {drafts} and {length}")
    target, most = setup.target, setup.target.rows - 1
    if drafts * length > most:
        fits = f"{drafts} x {most // drafts} fits" if drafts <= most else f"{most} x 1 fits"
        raise InputError(f"Method {METHOD.name} with {drafts} drafts of {length} tokens needs {drafts * length + 1} rows, but "
                         f"target {target.name} has {target.rows}: {fits}")
    return Decoder(IndependentDrafts(draft_model(METHOD.name, setup, draft), drafts, length), KSeq())


METHOD = Method(name="spectr", title="SpecTr", paper="Sun et al. 2023, arXiv 2310.15141", build=build,
                needs=Capability.CHAIN | Capability.TREE | Capability.FULL_LAW, trained="draft")
