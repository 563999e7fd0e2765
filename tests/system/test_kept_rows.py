"""A pass in two doorbells: rows that keep their X go on where the first one left them, whatever rows are beside them."""

import dataclasses

import numpy as np
import pytest

from terntable.hw.spec.config import preset
from terntable.hw.spec.layout import gamma_words, matmul_words
from terntable.hw.spec.program import DESCRIPTOR, FETCH_DESCRIPTORS, Buffer, Op, RowFlag, VecMode
from tests.system.models import ODD, random_program
from tests.system.pair import Pair
from tests.system.rig import chain

ROWS = preset("nano").rows
TOKENS = [5, 60, 31]


@dataclasses.dataclass
class Halves:
    """The machines; `cut` is the number of the first layer's last descriptor; registers of the two doorbells; the whole pass of
    TOKENS: its logits, its KV bytes and X of each row after the first layer.
    """

    pair: Pair
    cut: int
    registers: tuple[dict[str, int], dict[str, int]]
    logits: np.ndarray
    kv: np.ndarray
    x: np.ndarray


def padded(descriptors: np.ndarray) -> np.ndarray:
    """Bytes of a program that ends with END."""
    size = -(-(len(descriptors) + 1) // FETCH_DESCRIPTORS) * FETCH_DESCRIPTORS
    return np.concatenate([descriptors, np.zeros(size - len(descriptors), DESCRIPTOR)]).view(np.uint8)


@pytest.fixture(scope="module")
def halves():
    """The odd model's program, and behind it its first layer and the rest, each with the same first two descriptors."""
    whole = random_program(preset("nano"), **ODD)
    d, config = whole.program.view(DESCRIPTOR), whole.config
    assert [Op(op) for op in d["op"][:2]] == [Op.EMBED, Op.ROPE]
    adds = np.flatnonzero((d["op"] == Op.VEC) & (d["a"] == VecMode.ADD) & (d["c"] == Buffer.X))
    cut = int(adds[1])
    words = sum(gamma_words(int(one["length"]), config) for one in d[:cut] if (one["op"], one["a"]) == (Op.VEC, VecMode.NORM))
    words += sum(matmul_words(int(one["offset"]), int(one["length"]), config) for one in d[:cut] if one["op"] == Op.MATMUL)
    first, second = padded(d[:cut + 1]), padded(np.concatenate([d[:2], d[cut + 1:]]))
    both = Pair(dataclasses.replace(whole, program=np.concatenate([whole.program, first, second])), stall=0.1, seed=3)
    at, stream = both.golden.base["program"] + len(whole.program), both.golden.base["stream"]
    registers = ({"program_base": at, "stream_words": words, "head_words": 0},
                 {"program_base": at + len(first), "stream_base": stream + words * config.word_bytes,
                  "stream_words": whole.stream_words - words})
    seen = []
    both.golden.machine.trace = lambda index, _, machine: seen.append(machine.x.copy()) if index == cut else None
    logits = both.run(chain(TOKENS, 0)).logits.copy()
    both.golden.machine.trace = None
    yield Halves(both, cut, registers, logits, both.simulated.region("kv0", whole.kv.total_bytes).copy(), seen[0])
    both.close()


@pytest.mark.parametrize("before, kept, count", [(3, (0, 1, 2), 3), (2, (0, 1), 3), (3, (1,), 2), (3, (0, 2), 3), (1, (), 2)])
def test_two_doorbells_equal_one_pass(halves, before, kept, count):
    """Rows that are not kept get the X of the whole pass as a vector, in a pass of more, fewer or as many rows as the first."""
    pair, hidden = halves.pair, ODD["hidden"]
    pair.clear()
    pair.run(chain(TOKENS[:before], 0, flags=RowFlag(0)), registers=halves.registers[0])
    vectors = halves.x[:, :hidden].copy()
    # What a kept row must not take: another token, a vector of its own.
    vectors[list(kept)] = 100
    for side in (pair.golden, pair.simulated):
        side.region("vectors", vectors.nbytes)[:] = vectors.view(np.uint8).ravel()
    rows = chain(TOKENS[:count], 0)
    rows["token"] += 1
    rows["flags"] |= RowFlag.VECTOR
    rows["flags"][[r for r in kept if r < count]] |= RowFlag.KEEP
    rows["vector"] = pair.golden.base["vectors"] + 4 * hidden * np.arange(count)
    done = pair.run(rows, registers=halves.registers[1])
    assert done.logits.tobytes() == halves.logits[:count].tobytes()
    if before == count == ROWS:
        assert pair.simulated.region("kv0", len(halves.kv)).tobytes() == halves.kv.tobytes()


def test_a_row_beyond_a_pass_is_cleared(halves):
    """X of a row lasts only as long as every pass has that row; a kept row alone asks for no head."""
    pair, hidden = halves.pair, ODD["hidden"]
    pair.clear()
    pair.run(chain(TOKENS, 0, flags=RowFlag(0)), registers=halves.registers[0])
    pair.run(chain(TOKENS[:2], 0, flags=RowFlag.KEEP), registers=halves.registers[1])
    assert pair.golden.machine.x[:2, :hidden].all() and not pair.golden.machine.x[2:].any()
    pair.run(chain(TOKENS, 0, flags=RowFlag.KEEP | RowFlag.TOP_K | RowFlag.LOGITS), registers=halves.registers[1])
