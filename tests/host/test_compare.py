"""`terntable methods` and `terntable compare`."""

import json

import pytest

from terntable.host import cli
from terntable.host.decoding.comparing import Contender, Result, compare
from terntable.host.decoding.generation import Generation
from terntable.host.decoding.ledger import Ledger
from terntable.host.decoding.registry import METHODS


def run(capfd, *words):
    code = cli.main(list(words))
    said = capfd.readouterr()
    return code, said.out, said.err


def test_methods_lists_all(capfd):
    code, out, _ = run(capfd, "methods", "--json")
    lines = json.loads(out)
    assert code == 0 and [line["name"] for line in lines] == list(METHODS)
    assert all(set(line) == {"name", "paper", "guarantee", "needs", "targets", "status"} for line in lines)
    known = {line["name"]: line for line in lines}
    assert known["prompt-lookup"]["targets"] == ["torch", "golden", "sim", "pynq"] and known["prompt-lookup"]["status"] == "ready"
    assert known["eagle"]["targets"] == known["prompt-lookup"]["targets"] and "last-hidden" in known["eagle"]["needs"]
    assert known["specvlm"]["targets"] == ["torch"] and "image" in known["specvlm"]["needs"]
    assert known["gad++"]["guarantee"].startswith("lossy")
    code, out, _ = run(capfd, "methods")
    assert code == 0 and len(out.splitlines()) == 1 + len(METHODS)


@pytest.fixture
def prompts(tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"prompt": "In In In"}\nAnd And\n')
    return str(file)


@pytest.mark.parametrize("device", ["torch", "golden"])
def test_compare_counts(device, checkpoint, prompts, capfd, tmp_path):
    words = ["compare", "--model", str(checkpoint), "--prompts", prompts, "--max-tokens", "12", "--require-equal"]
    words += ["--device", "torch", "--dtype", "float64"] if device == "torch" else ["--device", "golden", "--preset", "nano"]
    names = "greedy,prompt-lookup:ngram=1,aded" + (",hf-greedy,hf-prompt-lookup" if device == "torch" else "")
    code, out, err = run(capfd, *words, "--methods", names, "--json", "--plot", str(tmp_path / "plot.svg"))
    assert code == 0, err
    found = json.loads(out)
    lines = {line["method"]: line for line in found["results"]}
    assert list(lines) == names.split(",") and found["prompts"] == 2
    assert lines["greedy"]["tokens_per_forward"] == 1 and lines["greedy"]["verify_width"] == 1
    assert lines["prompt-lookup:ngram=1"]["tokens_per_forward"] > 1.2
    assert all(line["equal_to_greedy"] and line["tokens"] == lines["greedy"]["tokens"] for line in lines.values())
    assert (tmp_path / "plot.svg").read_text().startswith("<svg")
    code, out, _ = run(capfd, *words, "--methods", "greedy")
    assert code == 0 and out.splitlines()[0].split()[:2] == ["method", "tokens/forward"]


@pytest.mark.parametrize(("words", "sentence"), [
    (["--methods", "fast"], "Unknown method 'fast'"),
    (["--methods", "aded:speed=9"], "no option 'speed'"),
    (["--methods", "aded:nodes=many"], "Option nodes of method aded must be of type int, not 'many'"),
    (["--methods", "hf-greedy"], "hf-greedy is transformers' own and needs device torch, not golden"),
    (["--methods", "greedy", "--prompts", "none.txt"], "Unknown prompts 'none.txt'"),
    (["--methods", "greedy", "--limit", "0"], "--limit must be at least 1, not 0"),
    (["--methods", "greedy", "--temperature", "-1"], "temperature must be"),
    (["--methods", "greedy", "--temperature", "1", "--require-equal"], "--require-equal is for temperature 0"),
    (["--methods", "greedy", "--clocked"], "--clocked and --dtype are for device torch, not golden"),
    (["--methods", "specvlm"], "Method specvlm needs images in the prompt, which target golden does not have"),
    (["--methods", "greedy", "--max-tokens", "64"], "do not fit the context of 64"),
])
def test_compare_refuses(words, sentence, checkpoint, capfd):
    code, out, err = run(capfd, "compare", "--model", str(checkpoint), "--device", "golden", "--preset", "nano", *words)
    assert code == 2 and not out and sentence in err.splitlines()[-1]


def test_a_parting_counts_unless_it_is_a_near_tie():
    def says(*tokens):
        return lambda prompt: Generation("", list(tokens), Ledger(forwards=1, emitted=[len(tokens)]), "length")

    contenders = [Contender("same", says(1, 2, 3)), Contender("other", says(1, 9, 3)), Contender("near", says(1, 2, 8))]
    results = [Result(one.name) for one in contenders]
    asked = []

    def gap_of(known, one, other):
        asked.append((known, one, other))
        return 0.1 if one == 9 else 0.0

    assert list(compare(contenders, results, [[7], [7]], lambda prompt: [1, 2, 3], gap_of)) == [1, 2]
    assert [(one.equal, one.near_ties) for one in results] == [(2, 0), (0, 0), (0, 2)]
    assert [one.as_json(None)["equal_to_greedy"] for one in results] == [True, False, True]
    assert ([7, 1], 9, 2) in asked and ([7, 1, 2], 8, 3) in asked
