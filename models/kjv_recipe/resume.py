"""A network that begins as a ternary checkpoint, to be trained further."""

import numpy as np
import torch
from torch import Tensor

from terntable.models.kjv_recipe.network import Network, NetworkConfig
from terntable.quant.checkpoint import Checkpoint, TernaryMatrix

__all__ = ["resumed_network"]

#: Matrices of a block: the group and the name in it, and the name in the checkpoint.
_MATRICES = (("qkv", "q_proj", "q"), ("qkv", "k_proj", "k"), ("qkv", "v_proj", "v"), ("out", "o_proj", "o"),
             ("gate_up", "gate_proj", "gate"), ("gate_up", "up_proj", "up"), ("down", "down_proj", "down"))
_NORMS = (("input_layernorm", "input_norm"), ("attn_sub_norm", "attn_sub_norm"), ("post_attention_layernorm", "post_norm"),
          ("ffn_sub_norm", "ffn_sub_norm"))


def resumed_network(checkpoint: Checkpoint) -> Network:
    """The network whose quantised weights are those of a checkpoint; ValueError for one that it has no parts for.

    A latent weight is its code times what makes the mean of the matrix's magnitudes its scale. So the first forward is the
    checkpoint's, and a weight changes its code as soon as training has moved it far enough.
    """
    config = checkpoint.config
    if checkpoint.head is not None or config.hidden_act != "relu2":
        raise ValueError(f"The recipe's network has a tied head and relu2, not {config.hidden_act} "
                         f"with a head of its own: {checkpoint.head is not None}")
    network = Network(NetworkConfig(
        vocabulary=config.vocab_size, hidden=config.hidden_size, intermediate=config.intermediate_size,
        layers=config.num_hidden_layers, heads=config.num_attention_heads, kv_heads=config.num_key_value_heads,
        head_dim=config.head_dim, positions=config.max_position_embeddings, rope_theta=config.rope_theta,
        norm_epsilon=config.rms_norm_eps))
    with torch.no_grad():
        network.embed_tokens.copy_(torch.from_numpy(np.asarray(checkpoint.embedding, np.float32)))
        network.norm.weight.copy_(torch.from_numpy(checkpoint.final_norm))
        for block, layer in zip(network.layers, checkpoint.layers, strict=True):
            for group, name, part in _MATRICES:
                getattr(getattr(block, group), name).copy_(_latent(getattr(layer, part)))
            for name, part in _NORMS:
                getattr(block, name).weight.copy_(torch.from_numpy(getattr(layer, part)))
    return network


def _latent(matrix: TernaryMatrix) -> Tensor:
    codes = torch.from_numpy(np.asarray(matrix.codes, np.float32))
    return codes * (float(matrix.scale) / codes.abs().mean())
