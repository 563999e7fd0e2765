"""Generation by transformers itself, beside which methods are measured; forwards are counted by a hook on the model."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from terntable.host.decoding.generation import Generation
from terntable.host.decoding.ledger import Ledger
from terntable.host.decoding.loading import CausalModel, quietly
from terntable.host.errors import InputError
from terntable.host.sampling import GREEDY, Sampling

__all__ = ["BASELINES", "run_baseline"]

#: Name -> what `generate` of transformers is given, and what it is.
BASELINES: dict[str, tuple[dict[str, Any], str]] = {
    "hf-greedy": ({}, "generation of transformers"),
    "hf-prompt-lookup": ({"prompt_lookup_num_tokens": 10}, "prompt lookup of transformers"),
    "hf-assisted": ({}, "assisted generation of transformers, by the draft model, or by early exit where there is none"),
}
#: Share of the layers after which a model without a draft model leaves early to draft for itself.
EXIT = 0.25


def run_baseline(name: str, causal: CausalModel, prompt: Sequence[int], *, max_tokens: int, sampling: Sampling = GREEDY,
                 assistant: Any = None) -> Generation:
    """New tokens after a prompt, by transformers.

    Parameters
    ----------
    assistant : a draft model of transformers, for hf-assisted.

    """
    if not sampling.greedy:
        raise InputError(f"{name} is compared at temperature 0 only, not at {sampling.temperature}")
    model, given = causal.model, dict(BASELINES[name][0])
    if name == "hf-assisted":
        layers = model.config.get_text_config().num_hidden_layers
        given |= {"assistant_early_exit": max(1, round(EXIT * layers))} if assistant is None else {"assistant_model": assistant}
    ledger = Ledger(prompt=len(prompt))
    widths: list[int] = []
    hook = _count_rows(model, widths)
    ids = torch.tensor([list(prompt)], device=model.device)
    start = time.perf_counter()
    try:
        with torch.inference_mode(), quietly():
            out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=max_tokens, do_sample=False,
                                 pad_token_id=causal.eos[0] if causal.eos else 0, **given)
    finally:
        hook()
    ledger.seconds["target"] = time.perf_counter() - start
    tokens = out[0, len(prompt):].tolist()
    # The first forward also reads the prompt, and has one row that verifies.
    ledger.forwards, ledger.nodes = len(widths), sum(widths[1:]) + 1
    ledger.emitted = [len(tokens)]
    return Generation("", tokens, ledger, "eos" if tokens[-1] in causal.eos else "length")


def _count_rows(model: Any, widths: list[int]) -> Callable[[], None]:
    """Write down the rows of each forward of all layers; gives what ends that."""
    def see(module: Any, inputs: Any, keywords: dict[str, Any]) -> None:
        hidden = inputs[0] if inputs else keywords["hidden_states"]
        widths.append(int(hidden.shape[1]))

    layers = next(module for name, module in model.named_modules() if name.endswith("layers"))
    return layers[-1].register_forward_pre_hook(see, with_kwargs=True).remove
