"""What cannot be done is said in a sentence before anything runs."""

import pytest
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

from terntable.host.decoding.capabilities import Capability, names_of, require
from terntable.host.decoding.generation import generate, run_method
from terntable.host.decoding.method import Decoder, Method
from terntable.host.decoding.registry import METHODS, load_method, parse_method
from terntable.host.errors import DeviceError, InputError
from terntable.host.sampling import Sampling
from tests.host.decoding.fakes import Table, TableTarget
from tests.host.decoding.models import tiny


def method(**fields):
    """A method that is plain decoding, and counts how often it was put together."""
    built = []

    def build(setup, *, size: int = 3, name: str = "x"):
        built.append(setup)
        return Decoder()

    return Method(name="toy", title="Toy", paper="none", build=build, **fields), built


@pytest.fixture
def target():
    """Counts its calls."""
    return TableTarget(Table(0, 5), context=32)


@pytest.mark.parametrize(("prompt", "options", "sentence"), [
    ([], {}, "must be one row of at least one token"),
    ([1, 5], {}, "Token id 5 is outside the vocabulary, 0 to 4"),
    ([-1], {}, "Token id -1 is outside"),
    ([0.5], {}, "Token ids must be whole numbers, not float64"),
    ([1] * 33, {}, "The prompt has 33 tokens, but the context holds 32"),
    ([1], {"max_tokens": 0}, "max-tokens must be 1 to 32, the model's context, not 0"),
    ([1], {"max_tokens": 33}, "not 33"),
    ([1], {"options": {"sise": 4}}, "Method toy has no option 'sise'; known: size, name"),
])
def test_impossible_requests_are_refused_before_any_work(target, prompt, options, sentence):
    toy, built = method()
    with pytest.raises(InputError, match=sentence) as caught:
        run_method(target, toy, prompt, **options)
    assert target.calls == 0 and not built and "\n" not in str(caught.value)


def test_a_prompt_that_fills_the_context_gives_one_token(target):
    done = run_method(target, "greedy", [1] * 32, max_tokens=8)
    assert len(done.tokens) == target.calls == 1 and done.finish_reason == "length"


def test_an_unknown_method_is_refused_with_the_known_ones(target):
    with pytest.raises(InputError, match="Unknown method 'gredy'; known: greedy, prompt-lookup"):
        run_method(target, "gredy", [1])
    with pytest.raises(InputError, match="Method greedy has no option 'size'; known: none"):
        run_method(target, "greedy", [1], options={"size": 1})
    assert target.calls == 0 and "greedy" in METHODS


@pytest.mark.parametrize("capability", list(Capability), ids=lambda one: names_of(one)[0])
def test_what_a_target_lacks_is_named(target, capability):
    toy, built = method(needs=Capability.CHAIN | capability)
    target.capabilities = ~capability
    with pytest.raises(InputError, match="Method toy needs .*, which target table does not have"):
        run_method(target, toy, [1])
    assert target.calls == 0 and not built
    target.capabilities = Capability.CHAIN | capability
    assert run_method(target, toy, [1], max_tokens=2).tokens and len(built) == 1


@pytest.mark.parametrize(("missing", "error", "sentence"), [
    ("torch", DeviceError, "Method toy needs torch, which is not installed: pip install 'terntable.torch.'"),
    ("something", ModuleNotFoundError, "No module named 'something'")])
def test_a_drafter_without_its_package_is_refused(target, missing, error, sentence):
    def build(setup):
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    with pytest.raises(error, match=sentence):
        run_method(target, Method(name="toy", title="Toy", paper="none", build=build), [1])
    assert target.calls == 0


def test_a_target_without_trees_is_refused_by_name():
    with pytest.raises(InputError, match="Method ppd needs tree masks, which target board does not have"):
        require("ppd", Capability.CHAIN | Capability.TREE, "board", Capability.CHAIN | Capability.FULL_LAW)
    require("plain", Capability.CHAIN, "board", Capability.CHAIN | Capability.FULL_LAW)
    assert names_of(Capability.TREE | Capability.CHAIN) == ["chain", "tree"]


@pytest.mark.parametrize(("numbers", "sentence"), [
    ({"temperature": -0.1}, "The temperature must be a finite number of at least 0, not -0.1"),
    ({"temperature": float("nan")}, "not nan"), ({"temperature": float("inf")}, "not inf"),
    ({"top_p": 0.0}, "top-p must be above 0 and at most 1, not 0.0"), ({"top_p": 1.01}, "not 1.01"),
    ({"top_p": float("nan")}, "not nan"), ({"top_k": -1}, "top-k must be at least 0, not -1"),
    ({"seed": -1}, "The seed must be 0 to"), ({"seed": 1 << 64}, "The seed must be 0 to"),
])
def test_wrong_sampling_numbers_are_refused(numbers, sentence):
    with pytest.raises(InputError, match=sentence):
        Sampling(**numbers)


@pytest.mark.parametrize(("text", "sentence"), [
    ("nothing", "Unknown method 'nothing'"), ("prompt-lookup:ngram", "must be as name=value, not 'ngram'"),
    ("prompt-lookup:ngram=two", "Option ngram of method prompt-lookup must be of type int, not 'two'"),
    ("iad:from_start=yes", "Option from_start of method iad must be of type bool, not 'yes'"),
])
def test_a_method_on_a_command_line_is_read_or_refused(text, sentence):
    with pytest.raises(InputError, match=sentence):
        parse_method(text)
    assert parse_method("prompt-lookup:ngram=3:length=4") == (load_method("prompt-lookup"), {"ngram": 3, "length": 4})
    assert parse_method("iad:from_start=true")[1] == {"from_start": True}


def test_wrong_numbers_of_prompt_lookup_are_refused(target):
    with pytest.raises(InputError, match="n-gram and a length of at least 1, not 0 and 10"):
        run_method(target, "prompt-lookup", [1], options={"ngram": 0})
    assert target.calls == 0


class Text:
    """A model and a tokenizer of transformers; the model counts its forwards."""

    def __init__(self):
        tokenizer = Tokenizer(models.WordLevel({"?": 0, **{chr(96 + n): n for n in range(1, 27)}}, unk_token="?"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        self.tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer)
        self.model, self.calls = tiny(), 0
        self.model.register_forward_pre_hook(self._count)

    def _count(self, *_):
        self.calls += 1


@pytest.mark.parametrize(("prompt", "options", "sentence"), [
    ("", {}, "The prompt '' has no tokens, but must have at least one"),
    ("a b", {"method": "magic"}, "Unknown method 'magic'"),
    ("a b", {"method": "prompt-lookup", "max_tokens": 4, "ngrams": 2}, "Method prompt-lookup has no option 'ngrams'; known: ngram"),
    ("a " * 65, {"max_tokens": 4}, "The prompt has 65 tokens, but the context holds 64"),
    ("a b", {"max_tokens": 65}, "max-tokens must be 1 to 64"),
])
def test_text_is_refused_before_any_forward(prompt, options, sentence):
    text = Text()
    with pytest.raises(InputError, match=sentence):
        generate(text.model, text.tokenizer, prompt, **options)
    assert text.calls == 0


def test_text_comes_out_as_tokens_of_the_model():
    text = Text()
    done = generate(text.model, text.tokenizer, "a b c", method="prompt-lookup", max_tokens=5, ngram=1)
    assert text.calls == done.ledger.forwards and len(done.tokens) == 5 and done.text == text.tokenizer.decode(done.tokens)
    text.model.generation_config.eos_token_id = [39, done.tokens[2]]
    cut = generate(text.model, text.tokenizer, "a b c", max_tokens=5)
    first = done.tokens.index(done.tokens[2])
    assert cut.tokens == done.tokens[:first + 1] and cut.finish_reason == "eos"
    assert cut.text == text.tokenizer.decode(cut.tokens[:-1])


def test_the_package_gives_the_function_each_time():
    for _ in range(2):
        from terntable.host.decoding import generate as found

        assert found is generate
