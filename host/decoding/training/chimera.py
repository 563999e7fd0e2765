"""Part `chimera`: trigram encoder, context encoder and heads, trained on their own drafts.

Head 0 sees the text; what it finds likeliest is the newest token for head 1, and so on, as in decoding. The loss is that of the
released trainer, the sum over the heads of the cross-entropy with the token that the text has there, and `STATE` times the mean
square between what enters the output layer and the target's state of that place, which the paper names and the released trainer
computes but does not add. Between steps no gradient flows.
"""

import torch
from torch import Tensor, nn

from terntable.host.decoding.chimera_drafter import HEADS, ChimeraNet, chimera_net
from terntable.host.decoding.draft_layer import joined
from terntable.host.decoding.training.losses import cross_entropy
from terntable.host.decoding.training.part import Job, Part
from terntable.host.decoding.training.states import StateWindows
from terntable.host.decoding.training.teacher import Teacher
from terntable.host.decoding.training.trainer import Recipe

__all__ = ["PART", "unroll"]

#: Weight of the distance of states.
STATE = 0.5


def unroll(net: ChimeraNet, tokens: Tensor, states: Tensor, embed: nn.Module, head: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """States and logits that each head makes, (B, n, width) and (B, n, vocab), for places j = 0 to n - 1 of texts (B, n + 1).

    `states` are the target's (B, n + 1, width), of which place j reads the first j + 1.
    """
    batch, length = tokens.shape
    places = length - 1
    _, past = net.layer(states, torch.arange(length))
    causal, own = torch.ones(places, length, dtype=torch.bool).tril(), torch.eye(places, dtype=torch.bool)
    # The last three tokens of each place's text, oldest first; the first token repeats where there are less.
    padded = torch.cat([tokens[:, :1], tokens], dim=1)
    newest = [padded[:, :places], padded[:, 1:places + 1], padded[:, 2:]]
    made = []
    for step in range(HEADS):
        three = embed(torch.stack(newest[-3:], dim=-1)).flatten(-2)
        mask = torch.cat([causal] + [own] * (step + 1), dim=1)
        context, rows = net.layer(net.trigrams(three), torch.arange(1, length) + step, past=past, mask=mask)
        state = net.join(step, states[:, :-1], context)
        logits = head(state)
        made.append((state, logits))
        newest.append(logits.detach().argmax(dim=-1))
        past = joined(past, (rows[0].detach(), rows[1].detach()))
    return made


def prepare(teacher: Teacher, tokens: Tensor, recipe: Recipe) -> Job:
    """A fresh net; the target's embedding and output layer, which it reads, stay as they are."""
    torch.manual_seed(recipe.seed)
    net = chimera_net(teacher.model.config.hidden_size)
    embed, head = teacher.model.get_input_embeddings(), teacher.model.get_output_embeddings()
    windows = StateWindows(teacher, tokens, recipe)

    def loss(step: int) -> Tensor:
        rows, states = windows(step)
        total = torch.zeros(())
        for i, (state, logits) in enumerate(unroll(net, rows, states, embed, head)):
            places = rows.shape[1] - 2 - i
            distance = (state[:, :places] - states[:, 1 + i:1 + i + places]).square().mean()
            total = total + cross_entropy(logits[:, :places], rows[:, 2 + i:]) + STATE * distance
        return total

    return Job(net, loss, {"width": net.layer.out.in_features, "heads": net.layer.heads})


PART = Part("chimera", Recipe(steps=1000, batch=8, length=96, rate=1.5e-3, warmup=30, floor=0.05), prepare, answers=4096)
