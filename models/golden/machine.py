"""The whole accelerator, bit for bit: runs the same programs on the same memory image as the hardware.

One :class:`Machine` is one instance: registers, memory and buffers. It has no notion of cycles; its bytes are the ones that the
hardware must produce. docs/program.md says what each descriptor does.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.layout import (
    beats,
    gamma_words,
    head_words,
    logits_stride,
    matmul_words,
    result_stride,
    round_up,
    shortlist_outputs,
    shortlist_size,
)
from terntable.hw.spec.numbers import HEAD_ACT_BITS
from terntable.hw.spec.program import (
    DESCRIPTOR,
    DESCRIPTOR_BYTES,
    FETCH_DESCRIPTORS,
    OF_SHORTLIST,
    RESULT,
    ROW,
    Buffer,
    Fault,
    Op,
    RowFlag,
    ScalarKind,
    ScaleOf,
    VecMode,
)
from terntable.models.golden import lanes, scalar
from terntable.models.golden.attention import attention, visible
from terntable.models.golden.half_to_float import half_to_float
from terntable.models.golden.head import logits
from terntable.models.golden.shortlist import best_of, scores
from terntable.models.golden.tlmm import ternary_matmul
from terntable.models.golden.topk import topk
from terntable.models.golden.weights import WeightCache

__all__ = ["Machine", "MachineFault"]

Trace = Callable[[int, "np.void", "Machine"], None]


class MachineFault(RuntimeError):
    """A pass stopped; `cause` is a `Fault`, `index` the descriptor's number."""

    def __init__(self, cause: Fault, index: int) -> None:
        super().__init__(f"pass stopped by {cause.name} at descriptor {index}")
        self.cause, self.index = cause, index


class Machine:
    """Registers and buffers over a memory of bytes.

    Parameters
    ----------
    config : the instance; results do not depend on its parallelism.
    memory : uint8, shape (size,); address 0 is its first byte. Written in place.

    Attributes
    ----------
    registers : values by name, see `terntable.hw.spec.registers`.
    stream_bytes, read_bytes, write_bytes : traffic of the last pass, as the hardware's counters have it.
    trace : called after each descriptor with its index, the descriptor and the machine.

    """

    def __init__(self, config: HardwareConfig, memory: NDArray[np.uint8]) -> None:
        self.config, self.memory = config, memory
        self.registers: dict[str, int] = {}
        self.weights = WeightCache(config, memory)
        self.trace: Trace | None = None
        rows = config.rows
        self.x = np.zeros((rows, config.max_hidden), np.float32)
        self.y = np.zeros((rows, config.max_activations), np.float32)
        # Finished sums in the order of their columns; the element-wise path takes them from the front.
        self.partial = np.zeros((rows, 0), np.int32)
        self.act = np.zeros((rows, config.max_activations), np.int8)
        self.head_act = np.zeros((rows, config.max_hidden), np.int16)
        self.query = np.zeros((rows, config.max_query), np.int8)
        # Two heads at most share a record.
        widest = round_up(2 * config.max_head_dim, config.beat_bytes)
        self.key = np.zeros((rows, widest), np.int8)
        self.value = np.zeros((rows, widest), np.int8)
        self.rope = np.zeros((rows, config.max_head_dim // 2, 2), np.float32)
        self.scales = np.zeros((config.max_heads + 4, rows), np.float32)
        self.sum = self.amax = self.inv = self.s = self.d = np.zeros(rows, np.float32)
        # Vocabulary rows that the shortlist left for each row.
        self.candidates = np.zeros((rows, 0), np.uint32)
        self.stream_bytes = self.read_bytes = self.write_bytes = 0
        self._stream = 0

    # -- memory ---------------------------------------------------------------------------------------------------

    def read(self, address: int, count: int) -> NDArray[np.uint8]:
        """`count` bytes; MachineFault READ_ERROR outside the memory. Counted in whole wide beats."""
        if address < 0 or address + count > len(self.memory):
            raise MachineFault(Fault.READ_ERROR, self._index)
        self.read_bytes += round_up(count, self.config.beat_bytes)
        return self.memory[address:address + count]

    def write(self, address: int, data: NDArray) -> None:
        """Write bytes; MachineFault WRITE_ERROR outside the memory."""
        raw = np.ascontiguousarray(data).view(np.uint8).ravel()
        if address < 0 or address + len(raw) > len(self.memory):
            raise MachineFault(Fault.WRITE_ERROR, self._index)
        self.write_bytes += len(raw)
        self.memory[address:address + len(raw)] = raw

    def _take(self, words: int) -> int:
        """Advance the weight stream; the address where the taken words begin."""
        address, first = self.registers["stream_base"] + self._stream, self.registers["stream_words"] * self.config.word_bytes
        if self.two_stage and self._stream >= first:
            address = self.registers["shortlist_base"] + self._stream - first
        self._stream += words * self.config.word_bytes
        if address + words * self.config.word_bytes > len(self.memory):
            raise MachineFault(Fault.READ_ERROR, self._index)
        return address

    # -- a pass ---------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Run a pass from the doorbell to END and return the number of descriptors run; raises MachineFault."""
        registers, config = self.registers, self.config
        self._index, self._stream = 0, 0
        self.stream_bytes = self.read_bytes = self.write_bytes = 0
        count = registers["rows"]
        if not 1 <= count <= config.rows:
            raise MachineFault(Fault.BAD_ROW, 0)
        self.count = count
        self.rows = self.read(registers["rows_base"], count * ROW.itemsize).view(ROW)
        self.any_output = bool((self.rows["flags"] & (RowFlag.TOP_K | RowFlag.LOGITS)).any())
        # Full logits are those of the exact head.
        self.two_stage = (self.any_output and registers.get("shortlist_words", 0) != 0
                          and not (self.rows["flags"] & RowFlag.LOGITS).any())
        head = "shortlist_words" if self.two_stage else "head_words"
        streamed = registers["stream_words"] + (registers[head] if self.any_output else 0)
        self.stream_bytes = streamed * config.word_bytes
        self.partial = self.partial[:, :0]
        while True:
            if self._index % FETCH_DESCRIPTORS == 0:
                block = self.read(registers["program_base"] + self._index * DESCRIPTOR_BYTES,
                                  FETCH_DESCRIPTORS * DESCRIPTOR_BYTES).view(DESCRIPTOR)
            descriptor = block[self._index % FETCH_DESCRIPTORS]
            if descriptor["op"] == Op.END:
                break
            if descriptor["op"] > max(Op):
                raise MachineFault(Fault.BAD_DESCRIPTOR, self._index)
            with np.errstate(all="ignore"):
                self._step(descriptor)
            if self.trace:
                self.trace(self._index, descriptor, self)
            self._index += 1
        if self._stream != self.stream_bytes or self.partial.shape[1]:
            raise MachineFault(Fault.BAD_DESCRIPTOR, self._index)
        return self._index

    def _step(self, d: np.void) -> None:
        {Op.EMBED: self._embed, Op.ROPE: self._rope, Op.VEC: self._vec, Op.SCALAR: self._scalar, Op.MATMUL: self._matmul,
         Op.KV_STORE: self._kv_store, Op.ATTENTION: self._attention, Op.HEAD: self._head, Op.MOVE: self._move,
         Op.SHORTLIST: self._shortlist}[Op(d["op"])](d)

    def _finite(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        if not np.isfinite(values).all():
            raise MachineFault(Fault.NUMERIC, self._index)
        return values

    # -- descriptors ----------------------------------------------------------------------------------------------

    def _embed(self, d: np.void) -> None:
        length = int(d["length"])
        keep = np.zeros(self.config.rows, bool)
        keep[:self.count] = (self.rows["flags"] & RowFlag.KEEP) != 0
        self.x[~keep] = 0
        for r, row in enumerate(self.rows):
            if row["flags"] & RowFlag.VECTOR and not keep[r]:
                values = self.read(int(row["vector"]), 4 * length).view(np.float32)
            else:
                address = self.registers["embed_base"] + int(row["token"]) * int(d["address2"])
                values = half_to_float(self.read(address, 2 * length).view(np.float16))
            # A kept row's embedding is read as well, and dropped.
            if not keep[r]:
                self.x[r, :length] = self._finite(values)

    def _rope(self, d: np.void) -> None:
        pairs = int(d["length"])
        self.rope[:] = 0
        for r, row in enumerate(self.rows):
            address = self.registers["rope_base"] + int(row["position"]) * int(d["address2"])
            self.rope[r, :pairs] = self.read(address, 8 * pairs).view(np.float32).reshape(pairs, 2)

    def _vec(self, d: np.void) -> None:
        mode, length, target = d["a"], int(d["length"]), Buffer(d["c"])
        if mode > max(VecMode) or d["b"] > Buffer.PARTIAL or length == 0:
            raise MachineFault(Fault.BAD_DESCRIPTOR, self._index)
        to = slice(int(d["offset2"]), int(d["offset2"]) + length)
        if mode in (VecMode.NORM, VecMode.QUANT):
            a = (self.x if d["b"] == Buffer.X else self.y)[:, int(d["offset"]):int(d["offset"]) + length]
            if mode == VecMode.QUANT:
                self._quantise(a, target, int(d["offset2"]), length)
                return
            gamma = self.weights.floats(self._take(gamma_words(length, self.config)), length)
            y, self.amax, total = lanes.norm(a, gamma)
            self.sum = self._finite(total)
        else:
            glu = mode in (VecMode.GLU_RELU2, VecMode.GLU_SILU)
            y = self._from_sums(d, self._pop(2 * length if glu else length), to)
        (self.x if target == Buffer.X else self.y)[:, to] = self._finite(y)

    def _pop(self, columns: int) -> NDArray[np.int32]:
        """The next finished sums, (rows, columns); the hardware would wait for sums that never come."""
        if columns > self.partial.shape[1]:
            raise MachineFault(Fault.WATCHDOG, self._index)
        taken, self.partial = self.partial[:, :columns], self.partial[:, columns:]
        return taken

    def _from_sums(self, d: np.void, p: NDArray[np.int32], to: slice) -> NDArray[np.float32]:
        mode = d["a"]
        if mode == VecMode.CONVERT:
            y, self.amax = lanes.convert(p)
            return y
        if mode == VecMode.ROPE:
            pairs = self.rope[:, :p.shape[1] // 2]
            y, self.amax = lanes.rope(p, pairs[..., 0], pairs[..., 1])
            return y
        f = scalar.factor(self.d, d["imm"])
        if mode == VecMode.ADD:
            return lanes.add_scaled(self.x[:, to], p, f)
        act = "silu" if mode == VecMode.GLU_SILU else "relu2"
        return lanes.glu(p[:, 0::2], p[:, 1::2], f, scalar.factor(self.d, d["imm2"]), act)

    def _quantise(self, a: NDArray, target: Buffer, column: int, length: int) -> None:
        try:
            q = lanes.quant(a, self.s, HEAD_ACT_BITS if target == Buffer.HEAD else 8)
        except ValueError as error:
            raise MachineFault(Fault.NUMERIC, self._index) from error
        buffers: dict[Buffer, NDArray] = {Buffer.ACT: self.act, Buffer.QUERY: self.query, Buffer.KEY: self.key,
                                          Buffer.VALUE: self.value, Buffer.HEAD: self.head_act}
        buffers[target][:, column:column + length] = q

    def _scalar(self, d: np.void) -> None:
        if d["a"] == ScalarKind.NORM:
            self.inv = scalar.norm_scale(self.sum, d["imm"], d["imm2"])
            return
        f = np.ones_like(self.amax)
        if d["b"] == ScaleOf.INV:
            f = self.inv
        elif d["b"] == ScaleOf.FACTOR:
            f = scalar.factor(self.d, d["imm2"])
        self.s, scale = scalar.quant_scale(self.amax, d["imm"], f)
        if d["c"]:
            self.scales[d["c"] - 1] = scale
        else:
            self.d = scale

    def _matmul(self, d: np.void) -> None:
        if d["a"] == OF_SHORTLIST and not self.two_stage:
            return
        outputs, inputs = int(d["length"]), int(d["offset"])
        codes = self.weights.ternary(self._take(matmul_words(inputs, outputs, self.config)), outputs, inputs)
        if codes is None:
            raise MachineFault(Fault.BAD_WEIGHT, self._index)
        sums = ternary_matmul(self.act[:, :inputs], codes)
        self.partial = np.concatenate([self.partial, sums], axis=1)

    def _record(self, d: np.void) -> tuple[int, int, int, int]:
        """Heads of a record, planes of its keys, bytes of a scale entry, address of the region."""
        pack = int(d["c"])
        planes = -(-pack * int(d["length"]) // self.config.beat_bytes)
        return pack, planes, max(8 * pack, self.config.port_bytes), self.registers["kv_base"] + int(d["address"])

    def _kv_store(self, d: np.void) -> None:
        slots = self.rows["slot"].astype(np.int64)
        if (slots != slots[0] + np.arange(self.count)).any():
            raise MachineFault(Fault.BAD_ROW, self._index)
        pack, planes, entry, base = self._record(d)
        size, stride, columns = self.config.beat_bytes, int(d["address2"]), pack * int(d["length"])
        for first, vector in ((0, self.key), (planes, self.value)):
            padded = np.zeros((self.count, planes * size), np.int8)
            padded[:, :columns] = vector[:self.count, :columns]
            for plane in range(planes):
                address = base + (first + plane) * stride + int(slots[0]) * size
                self.write(address, padded[:, plane * size:(plane + 1) * size])
        scales = np.zeros((self.count, entry // 4), np.float32)
        heads = self.config.max_heads
        scales[:, :2 * pack] = self.scales[heads:heads + 2 * pack, :self.count].T
        self.write(base + 2 * planes * stride + int(slots[0]) * entry, scales)

    def _attention(self, d: np.void) -> None:
        pack, planes, entry, base = self._record(d)
        dim, size, stride = int(d["length"]), self.config.beat_bytes, int(d["address2"])
        slots = int(self.rows["slot"][0]) + self.count
        scales = self.read(base + 2 * planes * stride, slots * entry).view(np.float32).reshape(slots, -1)
        vectors = [self.read(base + plane * stride, slots * size).view(np.int8).reshape(slots, size) for plane in range(2 * planes)]
        keys, values = (np.concatenate(vectors[n:n + planes], axis=1) for n in (0, planes))
        prefix, mask = np.zeros(self.config.rows, np.int64), np.zeros(self.config.rows, np.uint64)
        prefix[:self.count], mask[:self.count] = self.rows["prefix"], self.rows["mask"]
        seen, column = visible(prefix, mask, slots), int(d["offset2"])
        for head in range(pack):
            part = slice(head * dim, (head + 1) * dim)
            query = self.query[:, int(d["offset"]) + head * dim:int(d["offset"]) + (head + 1) * dim]
            out = attention(query[:, None], self.scales[d["a"] + head][:, None], keys[:, part], scales[:, 2 * head],
                            values[:, part], scales[:, 2 * head + 1], seen, d["imm"])
            self.y[:, column + head * dim:column + (head + 1) * dim] = self._finite(out[:, 0])

    def _shortlist(self, d: np.void) -> None:
        if not self.two_stage:
            return
        vocab, outputs = int(d["length"]), shortlist_outputs(int(d["length"]), self.config)
        behind = self.registers["shortlist_words"] * self.config.word_bytes
        scale = self.read(self.registers["shortlist_base"] + behind, 4 * outputs).view(np.float32)
        result = self._finite(scores(self._pop(outputs)[:self.count, :vocab], scale[:vocab]))
        self.candidates = topk(result, shortlist_size(self.config))["index"]

    def _head(self, d: np.void) -> None:
        if not self.any_output:
            return
        vocab, inputs = int(d["length"]), int(d["offset"])
        if d["a"] == OF_SHORTLIST and self.two_stage:
            best = self._rescored(vocab, inputs)
        else:
            best = self._exact(vocab, inputs)
        record = np.zeros((self.count, result_stride(self.config)), np.uint8)
        record[:, :RESULT.itemsize * self.config.top_k] = np.ascontiguousarray(best[:self.count]).view(np.uint8)
        self.write(self.registers["result_base"], record)

    def _exact(self, vocab: int, inputs: int) -> NDArray[np.void]:
        """Best of the whole vocabulary; full logits to memory for the rows that want them."""
        weight, scale = self.weights.head(self._take(head_words(inputs, vocab, self.config)), vocab, inputs)
        result = self._finite(logits(self.head_act[:, :inputs], weight, scale, self.d))
        stride = logits_stride(vocab, self.config)
        for r, row in enumerate(self.rows):
            if row["flags"] & RowFlag.LOGITS:
                padded = np.zeros(stride // 4, np.float32)
                padded[:vocab] = result[r]
                self.write(self.registers["logits_base"] + r * stride, padded)
        return topk(result, self.config.top_k)

    def _rescored(self, vocab: int, inputs: int) -> NDArray[np.void]:
        """Best of each row's candidates, whose scale and columns are read a wide beat each from the head behind the stream."""
        size = self.config.word_bytes
        address = self.registers["stream_base"] + self.registers["stream_words"] * size
        if address + head_words(inputs, vocab, self.config) * size > len(self.memory):
            raise MachineFault(Fault.READ_ERROR, self._index)
        self.read_bytes += self.candidates.size * (1 + beats(inputs, self.config)) * self.config.beat_bytes
        weight, scale = self.weights.head(address, vocab, inputs)
        best, seen = best_of(self.candidates, self.head_act[:self.count, :inputs], weight, scale, self.d[:self.count],
                             self.config.top_k)
        self._finite(seen)
        return best

    def _move(self, d: np.void) -> None:
        record, base = int(d["length"]), self.registers["kv_base"] + int(d["address"])
        for row in self.rows:
            self.write(base + int(row["slot"]) * record, self.read(base + int(row["token"]) * record, record).copy())
