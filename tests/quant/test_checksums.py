"""Checksums: a flipped bit is named, the list is sha256sum's, malformed lists are refused."""

import hashlib

import pytest

from terntable.quant.checksums import verify_checksums
from terntable.quant.huggingface import CheckpointError, read_checkpoint, write_checksums
from tests.quant import tiny_bitnet


@pytest.fixture
def directory(tmp_path):
    return tiny_bitnet.write_layout(tmp_path, "offline", "autobitlinear")


def test_a_flipped_bit_is_seen(directory):
    assert not verify_checksums(directory)
    write_checksums(directory)
    assert verify_checksums(directory)
    read_checkpoint(directory)
    file = directory / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model.safetensors has SHA-256 \w{64}, but SHA256SUMS says"):
        read_checkpoint(directory)


def test_the_list_is_that_of_sha256sum(directory):
    (directory / ".hidden").write_text("not listed")
    target = write_checksums(directory)
    expected = [f"{hashlib.sha256((directory / name).read_bytes()).hexdigest()}  {name}\n"
                for name in ("config.json", "model.safetensors")]
    assert target.read_text() == "".join(expected)
    # Writing again replaces the list, which does not list itself; the binary mark and capitals are read too.
    assert write_checksums(directory).read_text() == "".join(expected)
    digest, name = expected[0].split()
    target.write_text(f"{digest.upper()} *{name}\r\n\n")
    assert verify_checksums(directory)


@pytest.mark.parametrize(("text", "sentence"), [
    ("", "SHA256SUMS lists no file"),
    ("\n\n", "SHA256SUMS lists no file"),
    ("abc  config.json\n", "SHA256SUMS line 1 is 'abc  config.json', but must be 64 hex digits"),
    (f"{'0' * 64} config.json\n", "SHA256SUMS line 1 is"),
    (f"{'0' * 64}  config.json\n", f"config.json has SHA-256 .*, but SHA256SUMS says {'0' * 64}"),
    (f"{'0' * 64}  gone.json\n", "gone.json is missing, but SHA256SUMS lists it"),
    (f"{'0' * 64}  ../x\n", "SHA256SUMS lists '../x', but a listed file must lie inside the directory"),
    (f"{'0' * 64}  /x\n", "SHA256SUMS lists '/x', but"),
    (b"\xff\xfe", "SHA256SUMS cannot be read"),
])
def test_refused_lists(directory, text, sentence):
    (directory / "SHA256SUMS").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(CheckpointError, match=sentence):
        read_checkpoint(directory)


def test_refused_directories(tmp_path):
    with pytest.raises(CheckpointError, match="gone is not a directory"):
        write_checksums(tmp_path / "gone")
    with pytest.raises(CheckpointError, match="holds no file to list in SHA256SUMS"):
        write_checksums(tmp_path)
    (tmp_path / "two\nlines").write_text("")
    with pytest.raises(CheckpointError, match="but a listed name may hold no line end or backslash"):
        write_checksums(tmp_path)
