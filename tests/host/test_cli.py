"""The command line: what it prints, and one sentence with status 2 for every mistake."""

import io
import json
import shutil
import sys

import pytest

from terntable.host import cli
from terntable.host.commands import generate, verify_device
from terntable.host.devices.golden import GoldenDevice
from tests.host.tiny_checkpoint import write_checkpoint

KEYS = ["model", "device", "prompt_tokens", "tokens", "text", "finish_reason", "cycles", "clock_hz",
        "decode_tokens_per_second",
        "ttft_seconds", "ddr_bytes_read", "ddr_bytes_written"]


@pytest.fixture
def terntable(capfd):
    """Run a command; status, stdout and stderr."""
    def run(*words):
        status = cli.main([str(word) for word in words])
        return status, *capfd.readouterr()

    return run


@pytest.fixture(scope="module")
def compiled(program, tmp_path_factory):
    """The compiled file of the tiny model."""
    file = tmp_path_factory.mktemp("compiled") / "odd.safetensors"
    program.save(file)
    return file


def test_generate_streams_text_and_ends_with_a_summary(terntable, compiled):
    status, out, err = terntable("generate", "--model", compiled, "--prompt", "In the", "--max-tokens", 5,
                                 "--check")
    assert status == 0 and err == ""
    text, summary = out.split("\n\n")
    assert text.startswith("In the")
    lines = dict(line.split(":") for line in summary.strip().splitlines())
    assert lines["prompt tokens"].strip() == "7"
    assert lines["equal to the golden model"].strip() == "yes (7 passes)"
    assert "simulated cycles" not in lines and int(lines["DDR bytes written"].replace(",", "")) > 0


def test_json_is_one_object(terntable, compiled):
    status, out, _ = terntable("generate", "--model", compiled, "--prompt", "In the", "--max-tokens", 5,
                               "--json")
    result = json.loads(out)
    assert status == 0 and list(result) == KEYS
    assert (result["model"], result["device"], result["prompt_tokens"]) == ("odd", "golden", 7)
    assert len(result["tokens"]) == 5 and result["cycles"] is None and result["clock_hz"] is None
    assert result["ddr_bytes_read"] > 7 * 1000
    checked = json.loads(terntable("generate", "--model", compiled, "--prompt", "In the", "--max-tokens", 5,
                                   "--json", "--check")[1])
    assert checked["equal_to_golden"] is True and checked["tokens"] == result["tokens"]


def test_a_device_with_a_clock_reports_times(terntable, compiled, monkeypatch):
    class Timed(GoldenDevice):
        clock_hz = 100_000_000

        def counters(self):
            return super().counters() | {"cycles": 50_000}

    monkeypatch.setattr(generate, "open_device",
                        lambda name, config, *, memory_bytes,
                        **rest: Timed(config, memory_bytes=memory_bytes))
    words = ["generate", "--model", compiled, "--prompt", "In the", "--max-tokens", 5]
    result = json.loads(terntable(*words, "--json")[1])
    # Seven tokens in passes of three rows, then four decodes.
    assert result["cycles"] == 7 * 50_000 and result["ttft_seconds"] == pytest.approx(3 * 500e-6)
    assert result["decode_tokens_per_second"] == pytest.approx(2000)
    out = terntable(*words)[1]
    for part in ("2000.0 tokens/s (simulated, 100 MHz assumed)", "1.500 ms", "of the DDR limit"):
        assert part in out


def test_token_ids_in_and_out(terntable, compiled):
    first, again = (terntable("generate", "--model", compiled, *prompt, "--max-tokens", 4, "--json")[1]
                    for prompt in (["--prompt", "!a"], ["--prompt-tokens", "0,3,67"]))
    assert first == again


def test_compile_info_and_lists(terntable, checkpoint, tmp_path):
    file = tmp_path / "out" / "odd.safetensors"
    status, out, _ = terntable("compile", checkpoint, "-o", file, "--preset", "nano")
    assert status == 0 and f"{file.stat().st_size:,} bytes" in out
    status, out, _ = terntable("info", file)
    assert status == 0 and "hidden 36" in out and "padding of ternary weights" in out and "max vocab" in out
    assert "nano" in terntable("presets")[1] and "torch" in terntable("devices")[1]


def test_a_shortlist_is_compiled_and_used(terntable, checkpoint, tmp_path):
    """From a file that has one, and from a directory, which is then compiled with one."""
    file, plain = tmp_path / "listed.safetensors", tmp_path / "plain.safetensors"
    assert terntable("compile", checkpoint, "-o", file, "--preset", "nano", "--shortlist")[0] == 0
    assert terntable("compile", checkpoint, "-o", plain, "--preset", "nano")[0] == 0
    assert "for the shortlist" in terntable("info", file)[1] and "for the shortlist" not in terntable("info", plain)[1]
    words = ("--prompt", "In the", "--max-tokens", 5, "--json", "--preset", "nano")
    results = [json.loads(terntable("generate", "--model", model, *words, "--head", head, *more)[1])
               for model, head, more in ((file, "two-stage", ["--check"]), (checkpoint, "two-stage", []), (file, "exact", []))]
    assert results[0]["tokens"] == results[1]["tokens"] and results[0]["equal_to_golden"]
    assert results[0]["ddr_bytes_read"] == results[1]["ddr_bytes_read"] != results[2]["ddr_bytes_read"]


def test_verify_device_finds_equal_and_different_devices(terntable, compiled, monkeypatch):
    words = ("verify-device", "--model", compiled, "--device", "golden", "--max-tokens", 2)
    status, out, _ = terntable(*words)
    assert status == 0 and "odd on golden, preset nano: equal to the golden model (" in out

    class Wrong(GoldenDevice):
        def start(self):
            super().start()
            self.machine.memory[self.read_register("kv_base")] ^= 1

    monkeypatch.setattr(verify_device, "open_device",
                        lambda name, config, *, memory_bytes,
                        **rest: Wrong(config, memory_bytes=memory_bytes))
    status, _, err = terntable(*words)
    assert status == 1 and "differs from golden in pass 1" in err and "column 0 of the key, head 0, slot 0 of layer 0" in err


@pytest.mark.parametrize(("words", "sentence"), [
    (["--prompt", "a", "--model", "moon"], "Unknown model 'moon'"),
    (["--prompt", "a", "--device", "moon"], "Unknown device 'moon'; known: golden, sim, pynq, torch"),
    (["--prompt", "a", "--preset", "moon"],
     "is compiled for preset nano|Unknown preset 'moon'; known: ecp5, kv260, nano, tiny, zcu104, zu3eg"),
    (["--prompt", ""], "prompt '' has no tokens"),
    (["--prompt", "a" * 64], "prompt has 65 tokens, but the context holds 64"),
    (["--prompt", "a", "--max-tokens", "0"], "max-tokens must be at least 1, not 0"),
    (["--prompt", "a", "--max-tokens", "-3"], "max-tokens must be at least 1, not -3"),
    (["--prompt", "a", "--max-tokens", "1" + "0" * 30],
     "max-tokens must be 1 to 64, the model's context, not 10"),
    (["--prompt", "a", "--max-tokens", "many"], "invalid int value: 'many'"),
    (["--prompt-tokens", "0,97"], "Token id 97 is outside the vocabulary, 0 to 96"),
    (["--prompt-tokens", "0,-1"], "Token id -1 is outside"),
    (["--prompt-tokens", "0,x"], "whole numbers between commas, not '0,x'"),
    (["--prompt", "a", "--temperature", "nan"], "temperature must be a finite number of at least 0, not nan"),
    (["--prompt", "a", "--top-p", "2"], "top-p must be above 0 and at most 1, not 2.0"),
    (["--prompt", "a", "--seed", "-1"], "seed must be 0 to"),
    (["--prompt", "a", "--stop", ""], "stop string is empty"),
    (["--prompt", "a", "--bandwidth", "0.5"], "for device sim, not golden"),
    (["--prompt", "a", "--device", "sim", "--bandwidth", "2"],
     "--bandwidth must be 1/65536 to 1 beats per cycle, not 2.0"),
    (["--prompt", "a", "--device", "sim", "--latency", "0"], "--latency must be 1 to 1048575 cycles, not 0"),
    (["--prompt", "a", "--trace", "x.vcd"], "--trace is for device sim, not golden"),
    (["--prompt", "a", "--device", "sim", "--trace", "no/x.vcd"],
     "--trace must be a file in a folder that exists, not no/x.vcd"),
    (["--prompt", "a\udcff"], "prompt must be valid Unicode, but character 1"),
    (["--prompt-tokens", ""], "whole numbers between commas, not ''"),
    (["--prompt-tokens", "9" * 30], "Token id 9"),
    (["--prompt", "a", "--device", "torch"], "torch runs a Hugging Face directory"),
    (["--prompt", "a", "--device", "torch", "--check"], "which device torch does not run"),
    (["--prompt", "a", "--device", "torch", "--head", "two-stage"], "torch has an exact head only, not two-stage"),
    (["--prompt", "a", "--head", "two-stage"], "is compiled without a shortlist, which the two-stage head needs"),
    (["--prompt", "a", "--head", "moon"], "invalid choice: 'moon' (choose from"),
    ([], "one of the arguments --prompt --prompt-tokens is required"),
    (["--prompt", "a", "--nothing"], "unrecognized arguments: --nothing"),
])
def test_mistakes_are_one_sentence_and_status_2(terntable, compiled, words, sentence):
    model = [] if "--model" in words else ["--model", compiled]
    status, out, err = terntable("generate", *model, *words)
    assert (status, out) == (2, "") and len(err.splitlines()) == 1
    assert any(part in err for part in sentence.split("|")), err


@pytest.mark.parametrize(("damage", "sentence"), [
    (lambda raw: raw[:-3], "model.safetensors"),
    (lambda raw: raw[:-1] + bytes([raw[-1] ^ 4]), "model.safetensors"),
])
def test_a_damaged_checkpoint_leaves_no_file(terntable, tmp_path, damage, sentence):
    folder = write_checkpoint(tmp_path / "model")
    weights = folder / "model.safetensors"
    weights.write_bytes(damage(weights.read_bytes()))
    status, out, err = terntable("compile", folder, "-o", tmp_path / "out.safetensors", "--preset", "nano")
    errors = [line for line in err.splitlines() if not line.startswith("Compiling")]
    assert (status, out) == (2, "") and len(errors) == 1 and sentence in errors[0]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model"]


@pytest.mark.parametrize("output", ["here", "model.bin"])
def test_outputs_that_cannot_be_are_refused(terntable, checkpoint, tmp_path, output):
    status, _, err = terntable("compile", checkpoint, "-o", tmp_path / output)
    assert status == 2 and "must be a file that ends in .safetensors" in err


def test_an_output_in_no_folder_is_refused(terntable, compiled, tmp_path):
    (tmp_path / "file").touch()
    status, _, err = terntable("compile", compiled, "-o", tmp_path / "file" / "x.safetensors")
    assert status == 2 and len(err.splitlines()) == 1 and "x.safetensors cannot be written: " in err


@pytest.mark.parametrize(("prompt", "sentence"), [
    ("a" * 60, "prompt has 61 tokens, but must have at most 60: the context of 64 must also hold a decode"),
    ("a" * 59, "--max-tokens must be 1 to 1, what the context of 64 holds after the prompt and a tree, not 4"),
])
def test_verify_device_needs_room(terntable, compiled, prompt, sentence):
    status, _, err = terntable("verify-device", "--model", compiled, "--device", "golden", "--prompt", prompt)
    assert status == 2 and len(err.splitlines()) == 1 and sentence in err


@pytest.mark.parametrize("tool", ["g++", "make"])
def test_a_missing_tool_is_named(terntable, compiled, tmp_path, monkeypatch, tool):
    folder = tmp_path / "bin"
    folder.mkdir()
    for other in {"g++", "make"} - {tool}:
        (folder / other).symlink_to(shutil.which(other))
    monkeypatch.setenv("PATH", str(folder))
    status, out, err = terntable("generate", "--model", compiled, "--device", "sim", "--prompt", "a")
    assert (status, out) == (2, "")
    assert err == f"terntable generate: The simulator needs {tool}, which is not installed: apt install {tool}\n"


def test_memory_that_is_used_up_is_one_line(terntable, compiled, monkeypatch):
    def full(*args, **named):
        raise MemoryError("Unable to allocate 9 TiB")

    monkeypatch.setattr(generate, "open_device", full)
    status, _, err = terntable("generate", "--model", compiled, "--prompt", "a")
    assert (status, err) == (2, "terntable generate: the host's memory is too small: Unable to allocate 9 TiB\n")


def test_a_terminal_without_unicode_shows_what_it_can(program, tmp_path, monkeypatch):
    file = tmp_path / "odd.safetensors"
    program.save(file)
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert cli.main(["generate", "--model", str(file), "--prompt", "na\u00efve", "--max-tokens", "1"]) == 0
    stream.flush()
    assert stream.buffer.getvalue().startswith(b"na?ve")


def test_an_interrupt_is_one_line_and_130(terntable, compiled, monkeypatch):
    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(GoldenDevice, "start", interrupted)
    status, _, err = terntable("generate", "--model", compiled, "--prompt", "a", "--json")
    assert (status, err) == (130, "terntable generate: interrupted\n")
