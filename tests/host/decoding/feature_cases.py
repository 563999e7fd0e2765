"""A tiny target in float64 and checks that every drafter on hidden states must pass."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from terntable.host.decoding.controllers import Constant
from terntable.host.decoding.generation import run_method
from terntable.host.decoding.loop import decode
from terntable.host.decoding.parts import save_part
from terntable.host.decoding.torch_target import TorchTarget
from terntable.host.decoding.tree import DraftTree
from terntable.host.sampling import Sampling

VOCAB, WIDTH = 40, 32
PROMPT = [1, 2, 3, 4, 5, 1, 2, 3]


def tiny_target():
    """A random model that does not repeat itself at once."""
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=VOCAB, hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                         num_key_value_heads=2, max_position_embeddings=128, initializer_range=0.2)
    return TorchTarget(LlamaForCausalLM(config).double())


def keep(folder, name, module):
    """Put a module's tensors where a method looks for a part of model `tiny`."""
    tensors = {key: value.numpy() for key, value in module.state_dict().items()}
    save_part(folder / "tiny" / f"{name}.safetensors", {"part": name}, tensors)


def same_as_plain(target, method, folder, **options):
    """Run greedily and by sampling; the first must equal plain decoding. Gives both generations."""
    plain = run_method(target, "greedy", PROMPT, max_tokens=40)
    drafted = run_method(target, method, PROMPT, max_tokens=40, model="tiny", parts=folder, options=options)
    assert drafted.tokens == plain.tokens
    sampled = run_method(target, method, PROMPT, max_tokens=40, model="tiny", parts=folder, options=options,
                         sampling=Sampling(temperature=1.0, seed=3))
    assert len(sampled.tokens) == 40
    return drafted, sampled


def rebuilt_equals_kept(target, drafter, rule, rows):
    """Decode some rounds and compare the drafter's cache with one that is made anew of the target's states of the whole text.

    `rows` gives keys and values for states (n, width) and tokens.
    """
    text = list(PROMPT)
    for outcome in decode(target, PROMPT, drafter=drafter, rule=rule, controller=Constant(nodes=12, depth=4), max_tokens=30):
        text += outcome.tokens
    held = drafter.cache.length
    target.rollback(0)
    states = target.score(DraftTree(text[-1]), text[:-1], hidden=(-1,)).hidden[-1]
    expected = rows(states, text, held)
    torch.testing.assert_close(drafter.cache.rows[0], expected[0], rtol=0, atol=1e-9)
    torch.testing.assert_close(drafter.cache.rows[1], expected[1], rtol=0, atol=1e-9)
    return held, len(text)
