"""The two published families of BitNet b1.58 checkpoints: one network, other names and other defaults."""

from dataclasses import dataclass

__all__ = ["MICROSOFT", "ONE_BIT_LLM", "Family"]


@dataclass(frozen=True)
class Family:
    """How a family words what the network leaves open.

    Attributes
    ----------
    title : the family, for sentences.
    attn_sub_norm, ffn_sub_norm : names in a layer of the norms before the output and the down projection.
    rope_theta, rms_norm_eps, hidden_act : what its own code takes when ``config.json`` lacks the key.

    """

    title: str
    attn_sub_norm: str
    ffn_sub_norm: str
    rope_theta: float
    rms_norm_eps: float
    hidden_act: str

    @property
    def norms(self) -> tuple[str, str, str, str]:
        """Names of a layer's four norms in the order in which a token meets them."""
        return "input_layernorm", self.attn_sub_norm, "post_attention_layernorm", self.ffn_sub_norm


#: ``transformers.BitNetForCausalLM``, such as microsoft/bitnet-b1.58-2B-4T.
MICROSOFT = Family(title="BitNet", attn_sub_norm="self_attn.attn_sub_norm", ffn_sub_norm="mlp.ffn_sub_norm",
                   rope_theta=500000.0, rms_norm_eps=1e-5, hidden_act="relu2")

#: The reproduction with latent weights, such as 1bitLLM/bitnet_b1_58-large; its files call themselves llama.
ONE_BIT_LLM = Family(title="1bitLLM BitNet", attn_sub_norm="self_attn.inner_attn_ln", ffn_sub_norm="mlp.ffn_layernorm",
                     rope_theta=10000.0, rms_norm_eps=1e-6, hidden_act="silu")
