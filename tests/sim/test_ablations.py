"""What the ablations compare gives the same sums, and their tables print."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from terntable.sim.ablation_arrays import AddSelect, ColumnBank, MultiplyAdd

ROWS, LANES, OUTPUTS, GROUPS = 3, 2, 2, 2
CELLS, TILES = 9, 3    # cells of a tile: as many as a cascade is long and more


class Engine(wiring.Component):
    """Columns and an array."""

    def __init__(self, array):
        self.array = array
        self.bank = ColumnBank(rows=ROWS, lanes=LANES, groups=GROUPS, packed=isinstance(array, MultiplyAdd))
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.array, m.submodules.bank = self.array, self.bank
        m.d.comb += self.array.columns.eq(self.bank.o)
        return m


@pytest.mark.parametrize("kind", [AddSelect, MultiplyAdd])
def test_sums(kind):
    array = kind(rows=ROWS, outputs=OUTPUTS, groups=GROUPS)
    engine, columns = Engine(array), 3 * GROUPS
    rng = np.random.default_rng(3)
    act = rng.integers(-128, 128, (TILES, columns, ROWS))
    act[0] = -128
    weights = rng.integers(-1, 2, (TILES, CELLS, OUTPUTS, columns))
    weights[0, :3] = np.array([-1, 1, 0])[:, None, None]
    wanted = [array_.tolist() for array_ in np.einsum("tcow,twr->tcor", weights, act).reshape(-1, OUTPUTS, ROWS)]
    got = []

    async def bench(ctx):
        async def send(tile, step):
            ctx.set(engine.bank.valid, 1)
            ctx.set(engine.bank.i, act[tile, LANES * step:LANES * (step + 1)].tolist())

        for step in range(columns // LANES):
            await send(0, step)
            await ctx.tick()
        ctx.set(engine.bank.valid, 0)
        ctx.set(engine.bank.move, 1)
        await ctx.tick()
        for now in range(TILES * CELLS + array.LATENCY):
            tile, cell = divmod(now, CELLS)
            ctx.set(engine.bank.valid, 0)
            if tile + 1 < TILES and cell < columns // LANES:
                await send(tile + 1, cell)
            ctx.set(engine.bank.move, cell == CELLS - 1)
            if kind is MultiplyAdd:
                ctx.set(array.take, cell == 0)
            if tile < TILES:
                ctx.set(array.i, [{"nonzero": int(w != 0), "negate": int(w < 0)} for w in weights[tile, cell].ravel()])
            if now >= array.LATENCY:
                signs = [1 - 2 * (ctx.get(array.negate) >> o & 1) if kind is AddSelect else 1 for o in range(OUTPUTS)]
                got.append([[signs[o] * ctx.get(array.o[o][r]) for r in range(ROWS)] for o in range(OUTPUTS)])
            await ctx.tick()

    simulator = Simulator(engine)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert got == wanted
