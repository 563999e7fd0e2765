"""Random small models, compiled in memory."""

import numpy as np

from terntable.host.compiler import compile_checkpoint
from terntable.host.program import Program
from terntable.hw.spec.config import HardwareConfig
from terntable.quant.checkpoint import BitNetConfig, Checkpoint, Layer, TernaryMatrix

__all__ = ["ODD", "PAIRED", "SHORT", "random_program"]

#: Sizes that are multiples of nothing the geometry likes: not of 5, of a tile, of a block, of the rows, of a beat.
ODD = {"hidden": 36, "intermediate": 52, "layers": 2, "heads": 3, "kv_heads": 1, "head_dim": 12, "vocab": 97, "context": 48}
#: Two heads fill whole beats together: of three planes here, with the longest vectors of `nano`.
PAIRED = {"hidden": 44, "intermediate": 62, "layers": 2, "heads": 2, "kv_heads": 2, "head_dim": 24, "vocab": 61, "context": 37}
#: Two records of two heads and one plane each, and the other activation.
SHORT = {"hidden": 20, "intermediate": 26, "layers": 3, "heads": 4, "kv_heads": 4, "head_dim": 8, "vocab": 33, "context": 21,
         "act": "silu"}


def random_program(config: HardwareConfig, *, seed: int = 1, hidden: int, intermediate: int, layers: int, heads: int, kv_heads: int,
                   head_dim: int, vocab: int, context: int, act: str = "relu2",
                   shortlist: bool = False) -> Program:
    """A model with random ternary weights and norms near one, compiled for `config`."""
    rng = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> TernaryMatrix:
        return TernaryMatrix(rng.integers(-1, 2, (rows, columns)).astype(np.int8), np.float32(rng.uniform(0.05, 0.2)))

    def norm(size: int) -> np.ndarray:
        return rng.uniform(0.5, 1.5, size).astype(np.float32)

    attention, keys = heads * head_dim, kv_heads * head_dim
    model = BitNetConfig(hidden_size=hidden, intermediate_size=intermediate, num_hidden_layers=layers, num_attention_heads=heads,
                         num_key_value_heads=kv_heads, head_dim=head_dim, vocab_size=vocab, max_position_embeddings=context,
                         rope_theta=10000.0, rms_norm_eps=1e-5, hidden_act=act, tie_word_embeddings=True,
                         bos_token_id=None, eos_token_id=None)
    stack = [Layer(q=matrix(attention, hidden), k=matrix(keys, hidden), v=matrix(keys, hidden), o=matrix(hidden, attention),
                   gate=matrix(intermediate, hidden), up=matrix(intermediate, hidden), down=matrix(hidden, intermediate),
                   input_norm=norm(hidden), attn_sub_norm=norm(attention), post_norm=norm(hidden),
                   ffn_sub_norm=norm(intermediate)) for _ in range(layers)]
    checkpoint = Checkpoint(config=model, embedding=rng.normal(0, 1, (vocab, hidden)).astype(np.float16),
                            final_norm=norm(hidden), layers=stack)
    return compile_checkpoint(checkpoint, config, name="random", shortlist=shortlist)
