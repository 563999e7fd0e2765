"""A toy vision-language model, and a target that sees: rows of a picture stand at the beginning of the prompt.

With the shipped model: ``target = VisionTarget(load_scenes()); target.look(draw(seed).patches)``, then
``run_method(target, "specvlm", prompt(question), model=SCENES, eos=[END])``.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.parts import load_part
from terntable.host.decoding.scenes import END, IMAGE, PATCH_WIDTH, PATCHES, WORDS
from terntable.host.decoding.torch_target import TorchTarget
from terntable.host.errors import InputError

__all__ = ["SCENES", "SceneModel", "VisionTarget", "load_scenes", "scene_config"]

#: Name of the shipped model, and of the part that holds it.
SCENES = "scenes"


def scene_config(*, width: int = 128, layers: int = 3) -> LlamaConfig:
    """Sizes of the model."""
    return LlamaConfig(vocab_size=len(WORDS), hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers,
                       num_attention_heads=width // 32, num_key_value_heads=width // 32, max_position_embeddings=256,
                       bos_token_id=None, eos_token_id=END, pad_token_id=None)


class SceneModel(LlamaForCausalLM):
    """A causal language model whose first rows are patches of a picture.

    Attributes
    ----------
    picture : patches (B, PATCHES, PATCH_WIDTH) of what the model looks at; None for nothing, when the rows are the token's.

    """

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(config)
        self.see = nn.Linear(PATCH_WIDTH, config.hidden_size)
        self.picture: Tensor | None = None

    def vectors(self, input_ids: Tensor, position_ids: Tensor) -> Tensor:
        """Input vectors (B, n, width): of a patch where a picture's token is at one of the first positions, else of the token."""
        vectors = self.get_input_embeddings()(input_ids)
        if self.picture is None:
            return vectors
        patches = self.see(self.picture.to(vectors.dtype))
        places = position_ids.clamp(max=PATCHES - 1).expand(input_ids.shape)
        seen = patches.gather(1, places[..., None].expand(*places.shape, patches.shape[-1]))
        return torch.where(((input_ids == IMAGE) & (position_ids < PATCHES))[..., None], seen, vectors)

    def forward(self, input_ids: Any = None, position_ids: Any = None, inputs_embeds: Any = None, **given: Any) -> Any:
        if inputs_embeds is None:
            if position_ids is None:
                position_ids = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
            inputs_embeds = self.vectors(input_ids, position_ids)
        return super().forward(inputs_embeds=inputs_embeds, position_ids=position_ids, **given)


class VisionTarget(TorchTarget):
    """A `SceneModel` as a target; it looks at one picture at a time.

    Attributes
    ----------
    picture_rows : rows of the prompt that are the picture's, its first ones.

    """

    name = "vision"
    picture_rows = PATCHES

    def __init__(self, model: SceneModel, **options: Any) -> None:
        super().__init__(model, **options)
        # Rows of vectors would enter without the picture.
        self.capabilities = (self.capabilities | Capability.IMAGE) & ~Capability.EMBED_INPUT

    def look(self, patches: ArrayLike) -> None:
        """Look at a picture (PATCHES, PATCH_WIDTH) from now on, in a fresh sequence."""
        given = np.asarray(patches, np.float32)
        if given.shape != (PATCHES, PATCH_WIDTH):
            raise InputError(f"A picture has {PATCHES} patches of {PATCH_WIDTH} numbers, not {given.shape}")
        self.rollback(0)
        self.model.picture = torch.from_numpy(given).to(self.device)[None]

    def picture_vectors(self) -> Tensor:
        """Input vectors (PATCHES, width) of the picture."""
        places = torch.arange(PATCHES, device=self.device)[None]
        with torch.inference_mode():
            return self.model.vectors(torch.full_like(places, IMAGE), places)[0]


def load_scenes(folder: Path | None = None) -> SceneModel:
    """The shipped model, in float32; `folder` holds parts in place of the shipped ones."""
    recipe, tensors = load_part(SCENES, SCENES, SCENES, folder)
    model = SceneModel(LlamaConfig(**recipe["config"]))
    model.load_state_dict({name: torch.from_numpy(value).float() for name, value in tensors.items()})
    return model.eval()
