"""The golden machine and the simulator side by side on the same memory image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terntable.host.program import DEVICE_PARTS, Program
from terntable.host.rows import row_records
from terntable.hw.spec.layout import result_stride, round_up
from terntable.hw.spec.program import RESULT, ROW, Fault, RowFlag
from terntable.hw.spec.registers import STATUS_ERROR
from terntable.models.golden.machine import Machine, MachineFault
from terntable.sim.simulator import Simulator

__all__ = ["GoldenSide", "Pass", "Rig", "SimulatedSide", "chain", "tree"]

PAGE = 4096


@dataclass
class Pass:
    """What a pass left: top-k of each row, full logits (rows, vocab), byte counters, cycles (None for golden)."""

    best: NDArray
    logits: NDArray[np.float32]
    counters: dict[str, int]
    cycles: int | None


def chain(tokens: Sequence[int], length: int, **options: RowFlag) -> NDArray:
    """Rows of consecutive tokens after `length` committed ones: prefill, decode, chain verification."""
    return tree(tokens, range(-1, len(tokens) - 1), length, **options)


def tree(tokens: Sequence[int], parents: Sequence[int], length: int, *,
         flags: RowFlag = RowFlag.TOP_K | RowFlag.LOGITS) -> NDArray:
    """Rows of a draft tree: `parents[i]` < i, or -1 for a child of the last committed token."""
    rows = row_records(tokens=np.asarray(tokens, np.int64), parents=list(parents), length=length)
    rows["flags"] = int(flags)
    return rows


class Rig:
    """Places a program in a memory and runs passes; subclasses are the two machines."""

    def __init__(self, program: Program, *, sequences: int = 1) -> None:
        self.program, self.config = program, program.config
        regions = {**{part: getattr(program, part) for part in DEVICE_PARTS},
                   **{f"kv{n}": program.kv.total_bytes for n in range(sequences)},
                   "rows": ROW.itemsize * self.config.rows, "result": self.config.rows * result_stride(self.config),
                   "logits": self.config.rows * program.logits_stride, "vectors": 4 * self.config.rows * self.config.max_hidden}
        self.base, end = {}, PAGE
        for name, content in regions.items():
            self.base[name] = end
            end += round_up(content if isinstance(content, int) else len(content), PAGE)
        self.memory = self._open(end)
        for name, content in regions.items():
            if not isinstance(content, int):
                self.memory[self.base[name]:self.base[name] + len(content)] = content

    def region(self, name: str, count: int) -> NDArray[np.uint8]:
        """The first `count` bytes of a region."""
        return self.memory[self.base[name]:self.base[name] + count]

    def run(self, rows: NDArray, *, sequence: int = 0, program: str = "program", two_stage: bool = False,
            registers: Mapping[str, int] | None = None) -> Pass:
        """One pass over `rows`, some of its `registers` others than usual; raises MachineFault when it is stopped."""
        self.region("rows", rows.nbytes)[:] = rows.view(np.uint8)
        stream = program == "program"
        usual = {f"{name}_base": self.base[name] for name in ("rows", "stream", "embed", "rope", "result", "logits")}
        usual |= {"program_base": self.base[program], "kv_base": self.base[f"kv{sequence}"], "rows": len(rows),
                  "stream_words": self.program.stream_words if stream else 0,
                  "head_words": self.program.head_words if stream else 0,
                  "shortlist_words": self.program.shortlist_words if stream and two_stage else 0,
                  "shortlist_base": self.base["stream"]
                  + (self.program.stream_words + self.program.head_words) * self.config.word_bytes}
        counters, cycles = self._run(usual | dict(registers or {}))
        stride, vocab = self.program.logits_stride, self.program.shape.vocab
        logits = self.region("logits", len(rows) * stride).view(np.float32).reshape(len(rows), -1)[:, :vocab].copy()
        best = self.region("result", len(rows) * result_stride(self.config)).reshape(len(rows), -1)
        best = np.ascontiguousarray(best[:, :RESULT.itemsize * self.config.top_k]).view(RESULT)
        return Pass(best, logits, counters, cycles)

    def move(self, moves: Sequence[tuple[int, int]], *, sequence: int = 0) -> Pass:
        """Copy KV slots, (from, to) each, in order."""
        rows = np.zeros(len(moves), ROW)
        rows["token"], rows["slot"] = [m[0] for m in moves], [m[1] for m in moves]
        return self.run(rows, sequence=sequence, program="moves")

    def _open(self, size: int) -> NDArray[np.uint8]:
        raise NotImplementedError

    def _run(self, registers: dict[str, int]) -> tuple[dict[str, int], int | None]:
        raise NotImplementedError


class GoldenSide(Rig):
    """The golden machine."""

    def _open(self, size: int) -> NDArray[np.uint8]:
        self.machine = Machine(self.config, np.zeros(size, np.uint8))
        return self.machine.memory

    def _run(self, registers: dict[str, int]) -> tuple[dict[str, int], int | None]:
        self.machine.registers = registers
        done = self.machine.run()
        return {name: getattr(self.machine, name) for name in ("stream_bytes", "read_bytes", "write_bytes")} | {
            "descriptors": done}, None


class SimulatedSide(Rig):
    """The Verilated accelerator."""

    DEADLINE = 20_000_000

    def __init__(self, program: Program, *, sequences: int = 1, **timing: float) -> None:
        self.timing = timing
        super().__init__(program, sequences=sequences)

    def _open(self, size: int) -> NDArray[np.uint8]:
        self.simulator = Simulator.open(self.config, size, base=0, **self.timing)
        return self.simulator.memory

    def _run(self, registers: dict[str, int]) -> tuple[dict[str, int], int | None]:
        for name, value in registers.items():
            self.simulator.write(name, value)
        self.simulator.start_and_wait(self.DEADLINE)
        if self.simulator.read("status") & STATUS_ERROR:
            raise MachineFault(Fault(self.simulator.read("fault_cause")), self.simulator.read("fault_index"))
        names = ("stream_bytes", "read_bytes", "write_bytes", "descriptors")
        return {name: self.simulator.read(name) for name in names}, self.simulator.read("cycles")
