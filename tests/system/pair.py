"""Runs every pass on both machines and compares all they leave."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from terntable.host.program import Program
from tests.system.rig import GoldenSide, Pass, SimulatedSide

__all__ = ["Pair"]


class Pair:
    """The two machines; a difference anywhere in memory or in the byte counters fails."""

    def __init__(self, program: Program, *, sequences: int = 1, **timing: float) -> None:
        self.golden = GoldenSide(program, sequences=sequences)
        self.simulated = SimulatedSide(program, sequences=sequences, **timing)
        self.program = program

    def close(self) -> None:
        """End the simulation."""
        self.simulated.simulator.close()

    def clear(self) -> None:
        """Forget all KV slots, on both sides."""
        for side in (self.golden, self.simulated):
            for name in [name for name in side.base if name.startswith("kv")]:
                side.region(name, self.program.kv.total_bytes)[:] = 0

    def run(self, rows: NDArray, *, sequence: int = 0, two_stage: bool = False,
            registers: Mapping[str, int] | None = None) -> Pass:
        """A pass on both; returns the simulator's."""
        want, got = (side.run(rows, sequence=sequence, two_stage=two_stage, registers=registers)
                     for side in (self.golden, self.simulated))
        return self._compare(want, got)

    def move(self, moves: Sequence[tuple[int, int]], *, sequence: int = 0) -> Pass:
        """A move program on both."""
        return self._compare(self.golden.move(moves, sequence=sequence), self.simulated.move(moves, sequence=sequence))

    def _compare(self, want: Pass, got: Pass) -> Pass:
        different = np.flatnonzero(self.golden.memory != self.simulated.memory)
        if len(different):
            first = int(different[0])
            region = max((base, name) for name, base in self.golden.base.items() if base <= first)
            raise AssertionError(f"{len(different)} bytes differ, the first in {region[1]} at offset {first - region[0]}: "
                                 f"simulator {self.simulated.memory[first]}, golden {self.golden.memory[first]}")
        assert got.counters == want.counters, "byte or descriptor counters differ"
        return got
