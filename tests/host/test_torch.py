"""Device torch: transformers behind the generation interface, beside the golden device."""

import json
import shutil
import sys

import numpy as np
import pytest

from terntable.host import cli
from terntable.host.devices.torch_reference import ReferenceTarget
from terntable.host.errors import DeviceError, SessionError
from tests.quant import tiny_bitnet

TOKENS = np.random.default_rng(3).integers(2, 97, 12)


@pytest.fixture(scope="module")
def target(checkpoint):
    return ReferenceTarget(checkpoint)


def test_it_agrees_with_the_golden_device(target, session):
    target.rollback(0)
    for count in (5, 1, 6):
        part = TOKENS[target.length:target.length + count]
        wanted, result = target.prefill(part, logits=True), session.prefill(part, logits=True)
        assert wanted.logits.shape == (1, 97) and wanted.best[0] == wanted.logits[0].argmax()
        # INT8 keys, values and head make the difference.
        assert np.corrcoef(wanted.logits[0], result.logits[0])[0, 1] > 0.99
    assert target.length == session.length == 12


def test_a_rollback_forgets(target):
    target.rollback(0)
    wanted = target.prefill(TOKENS[:6], logits=True).logits
    target.rollback(4)
    target.decode(90)
    target.rollback(4)
    np.testing.assert_allclose(target.prefill(TOKENS[4:6], logits=True).logits, wanted, atol=1e-4)
    with pytest.raises(SessionError, match="rollback to 7 is impossible: the session holds 6"):
        target.rollback(7)


def test_what_does_not_fit_is_refused(target):
    target.rollback(0)
    with pytest.raises(SessionError, match="65 tokens do not fit: 0 of the context's 64"):
        target.prefill(np.resize(TOKENS, 65))
    with pytest.raises(SessionError, match="Token id 97 is outside the vocabulary"):
        target.decode(97)


def test_the_command_line_runs_it(checkpoint, capfd):
    words = ["generate", "--model", str(checkpoint), "--device", "torch", "--prompt", "In the", "--max-tokens", "3"]
    assert cli.main([*words, "--json"]) == 0
    result = json.loads(capfd.readouterr().out)
    assert result["device"] == "torch" and len(result["tokens"]) == 3
    assert result["cycles"] is None and result["ddr_bytes_read"] is None and result["ttft_seconds"] is None
    assert cli.main(words) == 0
    assert "new tokens:" in capfd.readouterr().out


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_a_flipped_bit_is_named(checkpoint, tmp_path, capfd, file):
    folder = shutil.copytree(checkpoint, tmp_path / "model")
    raw = bytearray((folder / file).read_bytes())
    raw[-20] ^= 1
    (folder / file).write_bytes(raw)
    status = cli.main(["generate", "--model", str(folder), "--device", "torch", "--prompt", "a"])
    out, err = capfd.readouterr()
    assert (status, out) == (2, "") and len(err.splitlines()) == 1 and f"{file} has SHA-256" in err


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_a_missing_package_is_named(checkpoint, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DeviceError, match=f"needs {package}, which is not installed: pip install 'terntable.torch.'"):
        ReferenceTarget(checkpoint)


def test_the_family_that_transformers_lacks_is_refused(tmp_path):
    folder = tiny_bitnet.write_one_bit_llm(tmp_path / "model")
    with pytest.raises(DeviceError, match="transformers has no class for a 1bitLLM BitNet model"):
        ReferenceTarget(folder)
