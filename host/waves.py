"""A waveform to look at: `python -m terntable.host.waves FILE` writes one pass of a small random model."""

import argparse
import sys
from pathlib import Path

import numpy as np

from terntable.host.compiler import compile_checkpoint
from terntable.host.devices.simulator import SimulatorDevice
from terntable.host.errors import DeviceError
from terntable.host.loaded import memory_needed
from terntable.host.program import Program
from terntable.host.session import Session
from terntable.hw.spec.config import preset
from terntable.quant.checkpoint import BitNetConfig, Checkpoint, Layer, TernaryMatrix
from terntable.sim.errors import SimulatorError

__all__ = ["small_program", "write_waves"]


def small_program(*, seed: int = 1) -> Program:
    """One layer of random weights for preset `nano`: every unit runs, and the waveform stays small."""
    rng = np.random.default_rng(seed)
    hidden, intermediate, heads, kv_heads, head_dim, vocab = 32, 48, 2, 1, 16, 64

    def matrix(outputs: int, inputs: int) -> TernaryMatrix:
        return TernaryMatrix(rng.integers(-1, 2, (outputs, inputs)).astype(np.int8), np.float32(0.1))

    def norm(size: int) -> np.ndarray:
        return rng.uniform(0.5, 1.5, size).astype(np.float32)

    wide, narrow = heads * head_dim, kv_heads * head_dim
    layer = Layer(q=matrix(wide, hidden), k=matrix(narrow, hidden), v=matrix(narrow, hidden),
                  o=matrix(hidden, wide), gate=matrix(intermediate, hidden), up=matrix(intermediate, hidden),
                  down=matrix(hidden, intermediate), input_norm=norm(hidden), attn_sub_norm=norm(wide),
                  post_norm=norm(hidden), ffn_sub_norm=norm(intermediate))
    config = BitNetConfig(hidden_size=hidden, intermediate_size=intermediate, num_hidden_layers=1,
                          num_attention_heads=heads, num_key_value_heads=kv_heads, head_dim=head_dim,
                          vocab_size=vocab, max_position_embeddings=32, rope_theta=10000.0, rms_norm_eps=1e-5,
                          hidden_act="relu2", tie_word_embeddings=True, bos_token_id=None, eos_token_id=None)
    embedding = rng.normal(0, 1, (vocab, hidden)).astype(np.float16)
    checkpoint = Checkpoint(config=config, embedding=embedding, final_norm=norm(hidden), layers=[layer])
    return compile_checkpoint(checkpoint, preset("nano"), name="small")


def write_waves(path: Path) -> int:
    """Write one pass with every row in use to `path` (VCD); the cycles it took."""
    program = small_program()
    path.parent.mkdir(parents=True, exist_ok=True)
    needed = memory_needed(program)
    with SimulatorDevice(program.config, memory_bytes=needed, trace=path, progress=_say) as device:
        with Session(device, program) as session:
            result = session.prefill(np.arange(1, program.config.rows + 1))
    return int(result.counters["cycles"] or 0)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Command line; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="where the waveform goes")
    options = parser.parse_args(arguments)
    try:
        cycles = write_waves(options.file)
    except (OSError, DeviceError, SimulatorError) as error:
        _say(f"waves: {error}")
        return 2
    print(f"{options.file}: one pass of {cycles:,} cycles, {options.file.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
