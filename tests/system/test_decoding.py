"""Every lossless method gives the shipped model's own tokens: on the golden accelerator, and in transformers in float64."""

import pytest
import torch

from terntable.host.decoding.accelerator_target import AcceleratorTarget
from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.generation import run_method
from terntable.host.decoding.layered import LayeredTarget
from terntable.host.decoding.loading import load_model
from terntable.host.decoding.method import LOSSLESS
from terntable.host.decoding.parts import part_file
from terntable.host.decoding.prompts import load_prompts
from terntable.host.decoding.registry import load_all, parse_method
from terntable.host.session import Session
from terntable.host.text import encode_prompt, load_tokenizer

#: Prompts of books that the model has not seen, and new tokens after each.
PROMPTS, TOKENS = 4, 32
#: Options with which a method's rows fit the shipped preset's, where the defaults do not.
FITTING = {"spectr": "spectr:drafts=2:length=3"}

#: What a model of text in transformers cannot have.
OTHER_MODELS = Capability.ORDER_MASK | Capability.IMAGE

METHODS = [method for method in load_all() if method.guarantee == LOSSLESS and method.name != "greedy"
           and (method.trained is None or part_file("kjv", method.trained) is not None)]
CASES = [(method.name, where) for where, offers in (("golden", AcceleratorTarget.capabilities), ("double", ~OTHER_MODELS))
         for method in METHODS if method.needs in offers]


@pytest.fixture(scope="module")
def golden():
    with Session.open("golden", model="kjv") as session:
        shape, tokenizer = session.program.shape, load_tokenizer(session.program.tokenizer.tobytes())
        prompts = [encode_prompt(tokenizer, prompt, shape.bos) for prompt in load_prompts("kjv")[:PROMPTS]]
        target = AcceleratorTarget(session)
        yield target, prompts, shape.eos, [run_method(target, "greedy", prompt, max_tokens=TOKENS, eos=shape.eos).tokens
                                           for prompt in prompts]


@pytest.fixture(scope="module")
def double():
    causal = load_model("kjv")
    target = LayeredTarget(causal.model, dtype=torch.float64)
    prompts = [causal.encode(prompt) for prompt in load_prompts("kjv")[:PROMPTS]]
    wanted = [causal.model.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), max_new_tokens=TOKENS,
                                    do_sample=False, pad_token_id=causal.eos[0])[0, len(prompt):].tolist() for prompt in prompts]
    return target, prompts, causal.eos, wanted


@pytest.mark.parametrize(("name", "where"), CASES)
def test_the_tokens_are_those_of_plain_decoding(name, where, request):
    target, prompts, eos, wanted = request.getfixturevalue(where)
    method, options = parse_method(FITTING.get(name, name))
    rounds = 0
    for prompt, tokens in zip(prompts, wanted, strict=True):
        done = run_method(target, method, prompt, options=options, max_tokens=TOKENS, eos=eos, model="kjv")
        assert done.tokens == tokens
        rounds += done.ledger.forwards
    assert rounds <= PROMPTS * TOKENS
