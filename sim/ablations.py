"""What the machine's choices cost and bring, all from the one generator at equal throughput.

``python -m terntable.sim.ablations [engine|rows|bits|overlap ...]`` prints the tables of docs/resources.md. Counts are Yosys's,
speeds the analytic model's.
"""

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import astuple, fields, replace
from typing import Any

from amaranth.hdl import UnusedElaboratable
from amaranth.lib import wiring

from terntable.hw.base3 import Base3Split
from terntable.hw.lookup_array import LookupArray
from terntable.hw.spec.config import HardwareConfig, preset
from terntable.hw.spec.lookup import build_parts
from terntable.hw.table_builder import TableBuilder
from terntable.hw.trit_gear import TritGear
from terntable.models.shapes import SHAPES
from terntable.sim.ablation_arrays import AddSelect, ColumnBank, MultiplyAdd
from terntable.sim.cells import Counts
from terntable.sim.ddr_parameters import DELIVERED
from terntable.sim.performance import estimate
from terntable.sim.synthesis import measure
from terntable.sim.units import synthesise_units, units_of

__all__ = ["TABLES", "main"]

#: What the tables are made for. Memory delivers what the DDR model does.
PRESET, MODELS, CONTEXT = "kv260", ("bitnet-0.73b", "bitnet-2b-4t"), 128

ROWS = (1, 2, 4, 8)
UNITS = ("tlmm", "vector", "attention", "array")

#: Byte lanes of the slice of the gear.
LANES = 16


def engine(config: HardwareConfig) -> list[Sequence[object]]:
    """The product itself in three ways, from activations and weights to sums of a cell; one output of it is synthesised."""
    size: dict[str, Any] = {"rows": config.rows, "groups": config.groups}
    parts = build_parts(groups=config.groups, lanes=config.lanes, cells=config.block_outputs // config.outputs)
    ways: dict[str, tuple[wiring.Component, wiring.Component]] = {
        "table lookup": (LookupArray(outputs=1, parts=1, **size), TableBuilder(lanes=config.lanes, parts=parts, **size)),
        "add or select": (AddSelect(outputs=1, **size), ColumnBank(lanes=config.lanes, **size)),
        "multiplier blocks": (MultiplyAdd(outputs=1, **size), ColumnBank(lanes=config.lanes, packed=True, **size)),
    }
    table: list[Sequence[object]] = [("", "of", *(f.name for f in fields(Counts)), "levels", "carry")]
    for name, (one, shared) in ways.items():
        found = {"one output": measure(one), "shared": measure(shared)}
        both = _times(found["one output"].counts, config.outputs) + found["shared"].counts
        table += [(name, what, *astuple(piece.counts), piece.levels.levels, piece.levels.carry) for what, piece in found.items()]
        table.append((name, config.name, *astuple(both), "", ""))
    return table


def rows(config: HardwareConfig) -> list[Sequence[object]]:
    """Units that grow with the rows of a pass, and the bytes that are read for a token when all rows are used."""
    shape = SHAPES[MODELS[0]]
    table: list[Sequence[object]] = [("rows", *(f"{unit} {what}" for unit in UNITS for what in ("LUT", "DSP")), "MB a token")]
    for count in ROWS:
        instance = replace(config, name=config.name if count == config.rows else f"{config.name}-{count}", rows=count,
                           glu_units=min(count, config.glu_units))
        found = synthesise_units(units_of(instance, "xcup", _say), UNITS, "xcup", _say)
        one = estimate(shape, instance, context=CONTEXT, rows=count)
        table.append((count, *(n for unit in UNITS for n in (found[unit].counts.lut, found[unit].counts.dsp)),
                      (one.stream_bytes + one.data_bytes) / count / 1e6))
    return table


def bits(config: HardwareConfig) -> list[Sequence[object]]:
    """Five trits a byte against four: bytes of a decoding pass, its speed as bytes alone allow it and by the model, the decoder."""
    scale = config.word_bytes // LANES
    split, gear = measure(Base3Split(word_bytes=LANES)).counts, measure(TritGear(word_bytes=LANES)).counts
    table: list[Sequence[object]] = [
        ("model", "bits a weight", "MB a pass", "tokens/s by bytes", "tokens/s by model", "LUT of the split", "LUT of the gear")]
    for model in MODELS:
        for width, words in ((1.6, 3 / 5), (2.0, 3 / 4)):
            one = estimate(SHAPES[model], config, context=CONTEXT, bytes_per_cycle=DELIVERED * config.beat_bytes, cell_words=words)
            read = one.stream_bytes + one.data_bytes
            decoder = (scale * split.lut, scale * gear.lut) if width < 2 else (0, "")
            by_bytes = DELIVERED * config.beat_bytes * config.clock_hz / read
            table.append((model, width, read / 1e6, by_bytes, config.clock_hz / one.cycles, *decoder))
    return table


def overlap(config: HardwareConfig) -> list[Sequence[object]]:
    """Decoding with and without lanes beside the engine, and with a ring of only four bursts of each port."""
    table: list[Sequence[object]] = [("model", "lanes beside engine", "ring words", "kilocycles", "tokens/s")]
    short = 4 * config.burst_bytes * config.ports // config.word_bytes
    for model in MODELS:
        for beside in (True, False):
            for ring in (config.ring_words, short):
                one = estimate(SHAPES[model], replace(config, ring_words=ring), context=CONTEXT, overlap=beside,
                               bytes_per_cycle=DELIVERED * config.beat_bytes)
                table.append((model, "yes" if beside else "no", ring, one.cycles / 1e3, config.clock_hz / one.cycles))
    return table


#: What there is to print.
TABLES: dict[str, Callable[[HardwareConfig], list[Sequence[object]]]] = {
    "engine": engine, "rows": rows, "bits": bits, "overlap": overlap}


def _times(one: Counts, count: int) -> Counts:
    return sum([one] * count, Counts())


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:,.1f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def main(arguments: list[str] | None = None) -> None:
    """Command line: the tables, as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m terntable.sim.ablations", description=main.__doc__)
    parser.add_argument("table", nargs="*", help=f"{', '.join(TABLES)}; all by default")
    chosen = parser.parse_args(arguments).table or list(TABLES)
    if unknown := set(chosen) - set(TABLES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(TABLES)}")
    # The model asks units for their latencies and does not build them.
    warnings.simplefilter("ignore", UnusedElaboratable)
    for name in chosen:
        head, *body = TABLES[name](preset(PRESET))
        print(f"\n{name}: {(TABLES[name].__doc__ or '').splitlines()[0]}\n")
        print("\n".join(f"| {' | '.join(map(_text, row))} |" for row in (head, ["---"] * len(head), *body)))


if __name__ == "__main__":
    main()
