"""The command line on the simulator: what a user runs, on the odd little model."""

import json

import pytest

from terntable.host.cli import main
from tests.host.tiny_checkpoint import write_checkpoint


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(write_checkpoint(tmp_path_factory.mktemp("model") / "odd"))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """Compiled models go to a folder of the test; simulators stay where all tests share them."""
    monkeypatch.setattr("terntable.host.models.cache_folder", lambda: tmp_path_factory.mktemp("cache"))


def test_devices_agree(model, capsys):
    """Golden and simulator give the same tokens, and --check says so."""
    outputs = {}
    for device, more in (("golden", []), ("sim", ["--check"])):
        assert main(["generate", "--model", model, "--preset", "nano", "--device", device, "--prompt-tokens", "1,5,9,2",
                     "--max-tokens", "6", "--json", *more]) == 0
        outputs[device] = json.loads(capsys.readouterr().out)
    golden, sim = outputs["golden"], outputs["sim"]
    assert sim["tokens"] == golden["tokens"] and sim["text"] == golden["text"]
    assert golden["cycles"] is None and sim["cycles"] > 0 and sim["ttft_seconds"] > 0
    assert sim["ddr_bytes_read"] == golden["ddr_bytes_read"] and sim["ddr_bytes_written"] == golden["ddr_bytes_written"]


def test_sampling_is_the_same_on_both(model, capsys):
    texts = []
    for device in ("golden", "sim"):
        assert main(["generate", "--model", model, "--preset", "nano", "--device", device, "--prompt-tokens", "1,5,9,2",
                     "--max-tokens", "5", "--temperature", "0.9", "--top-k", "20", "--top-p", "0.9", "--seed", "4", "--json"]) == 0
        texts.append(json.loads(capsys.readouterr().out)["tokens"])
    assert texts[0] == texts[1]


def test_verify_device(model, capsys):
    assert main(["verify-device", "--model", model, "--preset", "nano", "--device", "sim", "--prompt", "a",
                 "--max-tokens", "2"]) == 0
    assert "equal to the golden model" in capsys.readouterr().out
