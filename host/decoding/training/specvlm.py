"""Part `specvlm`: drafter, compressor and gate, distilled from the toy vision-language model as it speaks.

Every update runs the frozen target on pictures and texts, true answers. The loss is that of `eagle`, at tokens of answers, for what
the gate picks, a straight-through Gumbel-softmax sample of temperature `HEAT`, and for the mean of the branches beside it, so that
each branch can be asked for by name.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from terntable.host.decoding.compressor import BRANCHES
from terntable.host.decoding.scenes import PATCHES, QUESTIONS
from terntable.host.decoding.specvlm_drafter import SpecVlmNet, specvlm_net
from terntable.host.decoding.training.eagle import continuation_loss
from terntable.host.decoding.training.part import Job, Part
from terntable.host.decoding.training.scenes import batch
from terntable.host.decoding.training.trainer import Recipe
from terntable.host.decoding.vision import SCENES, SceneModel, load_scenes

__all__ = ["PART", "branch_states", "distil"]

#: Temperature of the gate's samples.
HEAT = 1.0
#: Tokens of a question.
_ASKED = len(QUESTIONS[0].split())


def branch_states(net: SpecVlmNet, states: Tensor, vectors: Tensor, branch: str, generator: torch.Generator) -> Tensor:
    """States (B, n - 1 - PATCHES, width) that the drafter makes of the text's rows, from states and vectors (B, n, width)."""
    rows = net.layer.fuse(states[:, :-1], vectors[:, 1:])
    few, places = net.compressor(rows[:, :PATCHES], branch, generator)
    positions = torch.cat([places.to(rows.dtype), torch.arange(PATCHES, rows.shape[1], dtype=rows.dtype)])
    made, _ = net.layer(torch.cat([few, rows[:, PATCHES:]], dim=1), positions)
    return made[:, few.shape[1]:]


def distil(model: SceneModel, recipe: Recipe) -> Job:
    """A fresh net for a target, which stays as it is."""
    torch.manual_seed(recipe.seed)
    model.requires_grad_(False).eval()
    net, head = specvlm_net(model.config.hidden_size), model.get_output_embeddings()

    def loss(step: int) -> Tensor:
        # Other pictures than those of the target's own training.
        pictures, tokens, said = batch((recipe.seed + 500) * 10_000 + step, recipe.batch)
        with torch.no_grad():
            model.picture = pictures
            vectors = model.vectors(tokens, torch.arange(tokens.shape[1])[None])
            out = model(input_ids=tokens, output_hidden_states=True, use_cache=False)
        states, logits = out.hidden_states[-1], out.logits[:, PATCHES + 1:]
        random = recipe.generator(step)
        made = torch.stack([branch_states(net, states, vectors, branch, random) for branch in BRANCHES], dim=1)
        gate = net.compressor.choose(states[:, PATCHES:PATCHES + _ASKED - 1])
        noise = -torch.rand(gate.shape, generator=random).clamp(min=1e-9).log().clamp(min=1e-9).log()
        soft = ((gate + noise) / HEAT).softmax(dim=-1)
        hard = F.one_hot(soft.argmax(dim=-1), len(BRANCHES)).to(soft.dtype)
        picked = torch.einsum("bk,bknd->bnd", hard + soft - soft.detach(), made)
        # Each row stands for the state at the next token; it counts if the token after that is of the answer.
        counts = torch.cat([said[:, PATCHES + 2:], torch.zeros_like(said[:, :1])], dim=1)
        true = states[:, PATCHES + 1:]
        every = sum((continuation_loss(logits, true, one, head, counts) for one in made.unbind(dim=1)), torch.zeros(()))
        return continuation_loss(logits, true, picked, head, counts) + every / len(BRANCHES)

    return Job(net, loss, {"branches": list(BRANCHES)})


def make(recipe: Recipe) -> Job:
    """For the shipped model."""
    return distil(load_scenes(), recipe)


PART = Part("specvlm", Recipe(steps=250, batch=8, length=128, rate=2e-3, warmup=20, floor=0.05), make=make, model=SCENES)
