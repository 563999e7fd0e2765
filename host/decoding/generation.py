"""Text by a method, from a model of transformers or any target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.controllers import Constant
from terntable.host.decoding.ledger import Ledger
from terntable.host.decoding.loop import check_request, decode
from terntable.host.decoding.method import Method, Setup
from terntable.host.decoding.registry import load_method
from terntable.host.decoding.target import DecodingTarget
from terntable.host.errors import InputError
from terntable.host.sampling import GREEDY, Sampling

__all__ = ["Generation", "generate", "run_method"]


@dataclass(frozen=True)
class Generation:
    """What a method gave.

    Attributes
    ----------
    text : of the new tokens, without the end of text; empty without a tokenizer.
    tokens : new ones, the end of text included.
    ledger : what it cost.
    finish_reason : "eos" or "length".

    """

    text: str
    tokens: list[int]
    ledger: Ledger
    finish_reason: str


def run_method(target: DecodingTarget, method: Method | str, prompt: Sequence[int], *, options: Mapping[str, Any] | None = None,
               max_tokens: int = 32, sampling: Sampling = GREEDY, eos: Sequence[int] = (), model: str | None = None,
               tokenizer: Any = None, parts: Any = None, controller: Any = None) -> Generation:
    """New tokens after a prompt in a fresh sequence of a target; no text.

    Parameters
    ----------
    options : of the method, see :attr:`Method.options`.
    model : name that trained parts are kept by.
    controller : in place of the method's, unless that goes by the clock itself.

    Raises
    ------
    InputError
        Before any forward, in a sentence.

    """
    chosen = load_method(method) if isinstance(method, str) else method
    # Parts may be long to build, and may look at the prompt.
    setup = Setup(target, sampling, model, tuple(check_request(target, prompt, max_tokens)), tokenizer, parts)
    decoder, ledger = chosen.decoder(setup, options), Ledger()
    tokens: list[int] = []
    if controller is None or not isinstance(decoder.controller, Constant):
        controller = decoder.controller
    for outcome in decode(target, prompt, drafter=decoder.drafter, rule=decoder.rule, controller=controller,
                          sampling=sampling, max_tokens=max_tokens, eos=eos, ledger=ledger):
        tokens += outcome.tokens
    return Generation("", tokens, ledger, "eos" if tokens[-1] in eos else "length")


def generate(model: Any, tokenizer: Any, prompt: str, *, method: str = "greedy", max_tokens: int = 128, sampling: Sampling = GREEDY,
             device: Any = None, dtype: Any = None, parts: Any = None, **options: Any) -> Generation:
    """Text that follows a prompt, by a method.

    Parameters
    ----------
    model, tokenizer : of transformers, a causal language model.
    method : a name of `terntable methods`.
    device, dtype : where and in what numbers the model shall run; as it is if None.
    parts : folder of trained parts, for methods that need them: MODEL/PART.safetensors, where MODEL is the last part of the model's
        name or path. Without one, the shipped parts count.
    options : of the method.

    Returns
    -------
    Generation
        Its text does not repeat the prompt.

    Raises
    ------
    InputError
        An unknown method or option, a model that lacks what the method needs, an empty or too long prompt; before any forward,
        except that whether a model has layers like Llama's shows in one of two tokens.

    """
    from terntable.host.decoding.layered import LayeredTarget
    from terntable.host.decoding.torch_target import TorchTarget

    chosen = load_method(method)
    chosen.check_options(options)
    ids = tokenizer(prompt).input_ids
    if not ids:
        raise InputError(f"The prompt {prompt!r} has no tokens, but must have at least one")
    eos = model.generation_config.eos_token_id if model.generation_config is not None else model.config.eos_token_id
    ends = [] if eos is None else [eos] if isinstance(eos, int) else list(eos)
    fast = getattr(tokenizer, "backend_tokenizer", None)
    target = TorchTarget(model, device=device, dtype=dtype)
    check_request(target, ids, max_tokens)
    if chosen.needs & (Capability.EARLY_EXIT | Capability.MID_INJECT):
        # Whether a model has these shows in a forward only.
        target = LayeredTarget(model)
    done = run_method(target, chosen, ids, options=options, max_tokens=max_tokens, sampling=sampling, eos=ends,
                      model=Path(getattr(model.config, "name_or_path", "")).name or None, tokenizer=fast, parts=parts)
    shown = done.tokens[:-1] if done.finish_reason == "eos" else done.tokens
    return Generation(tokenizer.decode(shown), done.tokens, done.ledger, done.finish_reason)
