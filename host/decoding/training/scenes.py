"""Part `scenes`: the toy vision-language model itself, trained on the true answers to questions about drawn pictures."""

import numpy as np
import torch
from torch import Tensor

from terntable.host.decoding.scenes import END, PATCHES, QUESTIONS, answer, draw, encode, prompt
from terntable.host.decoding.training.losses import cross_entropy
from terntable.host.decoding.training.part import Job, Part
from terntable.host.decoding.training.trainer import Recipe
from terntable.host.decoding.vision import SCENES, SceneModel, scene_config

__all__ = ["HELD_OUT", "PART", "batch"]

#: Seeds of pictures from here on are never trained on.
HELD_OUT = 1 << 30


def batch(seed: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures (count, patches, width), texts (count, n) filled up with ends, and which tokens are of an answer (count, n).

    The questions take turns; every picture of every seed is another one.
    """
    scenes = [draw(seed * count + place) for place in range(count)]
    asked = [QUESTIONS[(seed + place) % len(QUESTIONS)] for place in range(count)]
    texts = [prompt(question) + encode(answer(scene, question)) + [END] for scene, question in zip(scenes, asked, strict=True)]
    longest = max(map(len, texts))
    tokens = torch.tensor([text + [END] * (longest - len(text)) for text in texts])
    begins = PATCHES + len(QUESTIONS[0].split())
    said = torch.arange(longest)[None]
    return torch.from_numpy(np.stack([scene.patches for scene in scenes])), tokens, \
        (said >= begins) & (said < torch.tensor([[len(text)] for text in texts]))


def make(recipe: Recipe) -> Job:
    """A fresh model."""
    torch.manual_seed(recipe.seed)
    model = SceneModel(scene_config())

    def loss(step: int) -> Tensor:
        pictures, tokens, said = batch(recipe.seed * 100_000 + step, recipe.batch)
        model.picture = pictures
        logits = model(input_ids=tokens, use_cache=False).logits
        return cross_entropy(logits[:, :-1], tokens[:, 1:], said[:, 1:])

    return Job(model, loss, model.config.to_diff_dict())


PART = Part(SCENES, Recipe(steps=250, batch=16, length=128, rate=2e-3, warmup=40, floor=0.05), make=make, model=SCENES)
