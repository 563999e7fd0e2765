"""Models by name, and the cache of compiled ones."""

import dataclasses
import json

import numpy as np
import pytest

from terntable.host import models
from terntable.host.errors import InputError
from terntable.host.models import cache_folder, find_model, load_program
from terntable.host.program import PARTS, ProgramError
from terntable.hw.spec.registers import VERSION
from tests.host.tiny_checkpoint import write_checkpoint


@pytest.fixture
def compiles(monkeypatch):
    """Count compilations."""
    calls = []
    real = models.compile_directory
    monkeypatch.setattr(models, "compile_directory", lambda *args,
                        **named: calls.append(args) or real(*args, **named))
    return calls


def equal(a, b):
    """Whether two programs are the same in all bytes and numbers."""
    return a.shape == b.shape and a.config == b.config and all(np.array_equal(getattr(a, p), getattr(b, p))
                                                               for p in PARTS)


def test_a_second_load_comes_from_the_cache_and_is_equal(checkpoint, program, compiles):
    first = load_program(str(checkpoint), "nano")
    second = load_program(str(checkpoint), "nano")
    assert len(compiles) == 1 and equal(first, second) and equal(first, program)
    assert [file.suffix for file in cache_folder().iterdir()] == [".safetensors"]


def test_a_changed_checkpoint_or_a_damaged_cache_is_compiled_anew(tmp_path, compiles):
    folder = write_checkpoint(tmp_path / "model")
    load_program(str(folder), "nano")
    kept = next(cache_folder().iterdir())
    raw = bytearray(kept.read_bytes())
    raw[-5] ^= 1
    kept.write_bytes(raw)
    load_program(str(folder), "nano")
    assert len(compiles) == 2
    write_checkpoint(folder, seed=1)
    load_program(str(folder), "nano")
    assert len(compiles) == 3 and len(list(cache_folder().iterdir())) == 2


def test_without_a_place_to_keep_it_a_model_still_compiles(checkpoint, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TERNTABLE_BUILD", str(tmp_path / "file"))
    said = []
    assert load_program(str(checkpoint), "nano", progress=said.append).shape.vocab == 97
    assert said[0] == "Compiling odd for nano" and said[1].startswith("The compiled model is not kept")


def test_a_compiled_file_brings_its_preset(program, tmp_path):
    file = tmp_path / "odd.safetensors"
    program.save(file)
    assert equal(load_program(str(file)), program) and equal(load_program(str(file), "nano"), program)
    with pytest.raises(InputError, match="is compiled for preset nano, not for tiny"):
        load_program(str(file), "tiny")
    other = dataclasses.replace(program, config=dataclasses.replace(program.config, max_vocab=127))
    other.save(file)
    with pytest.raises(InputError, match="is compiled for a preset nano of other sizes, not for nano"):
        load_program(str(file), "nano")


def test_damaged_files_are_refused(program, tmp_path):
    file = tmp_path / "odd.safetensors"
    program.save(file)
    raw = file.read_bytes()
    file.write_bytes(raw[:-1])
    with pytest.raises(ProgramError, match="is not a compiled model"):
        load_program(str(file))
    file.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    with pytest.raises(ProgramError, match="the checksum of .* does not match"):
        load_program(str(file))


@pytest.mark.parametrize(("found", "changed", "sentence"), [
    (b'\\"layers\\": 2', b'\\"layers\\": 3', "the checksum of header does not match"),
    (b'\\"version\\": %d' % VERSION, b'\\"version\\": 1', f"has program format 1, this version reads {VERSION}"),
    (b'\\"sha256\\"', b'\\"sha255\\"', "the checksum of program does not match"),
    (b'"U8"', b'"I8"', "the checksum of .* does not match"),
    (b'"terntable"', b'"terntaple"', "lacks its header"),
])
def test_a_changed_header_is_refused(program, tmp_path, found, changed, sentence):
    file = tmp_path / "odd.safetensors"
    program.save(file)
    raw = file.read_bytes()
    assert found in raw and len(found) == len(changed)
    file.write_bytes(raw.replace(found, changed, 1))
    with pytest.raises(ProgramError, match=sentence):
        load_program(str(file))


def test_a_write_that_fails_leaves_what_was_there(program, tmp_path, monkeypatch):
    file = tmp_path / "odd.safetensors"
    file.write_text("before")

    def full(self, data):
        with self.open("wb") as stream:
            stream.write(data[:100])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(type(file), "write_bytes", full)
        with pytest.raises(OSError, match="No space left"):
            program.save(file)
    assert file.read_text() == "before" and list(tmp_path.iterdir()) == [file]
    program.save(file)
    (tmp_path / "plain").touch()
    assert file.stat().st_mode == (tmp_path / "plain").stat().st_mode, "others may read what they may read"


@pytest.mark.parametrize("name", ["moon", "", "nothing.safetensors"])
def test_unknown_models_are_refused(name):
    with pytest.raises(InputError,
                       match=f"Unknown model '{name}': neither kjv, kjv-exits, nor a directory, nor a compiled"):
        find_model(name)


def test_unknown_presets_are_refused(checkpoint):
    with pytest.raises(InputError, match="Unknown preset 'huge'; known: ecp5, kv260, nano, tiny, zcu104, zu3eg"):
        load_program(str(checkpoint), "huge")


@pytest.mark.parametrize(("change", "sentence"), [
    ({"hidden": 64, "heads": 4}, "hidden size is 64, but preset nano holds 48"),
    ({"vocab": 130}, "vocabulary is 130, but preset nano holds 128"),
    ({"intermediate": 84}, "intermediate size is 84, but preset nano holds 80"),
    ({"heads": 6, "hidden": 24}, "attention heads is 6, but preset nano holds 4"),
])
def test_models_that_do_not_fit_are_refused(tmp_path, change, sentence):
    folder = write_checkpoint(tmp_path / "model", **change)
    with pytest.raises(ProgramError, match=sentence):
        load_program(str(folder), "nano")
    assert not list(cache_folder().glob("*"))


def test_the_shipped_model_is_found():
    assert json.loads((find_model("kjv") / "config.json").read_text())["model_type"] == "bitnet"
