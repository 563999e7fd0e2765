"""`terntable info`, `presets`, `devices`: what a model needs and what there is."""

import argparse
from dataclasses import fields

from terntable.host.arguments import say
from terntable.host.devices.opening import DEVICES
from terntable.host.models import load_program
from terntable.host.program import Program
from terntable.hw.spec.config import PRESETS, WORD_BEATS, HardwareConfig
from terntable.hw.spec.layout import rope_stride

__all__ = ["add_parser", "run"]


def add_parser(commands) -> None:
    """Add the subcommands."""
    parser = commands.add_parser("info", help="sizes of a model on a preset",
                                 description="Sizes of a model on a preset.")
    parser.add_argument("model", nargs="?", default="kjv",
                        help="shipped name, Hugging Face directory, or compiled file (kjv)")
    parser.add_argument("--preset", help="hardware configuration (tiny)")
    parser.set_defaults(run=run)
    listing = commands.add_parser("presets", help="list the hardware configurations")
    listing.set_defaults(run=lambda arguments: _print(_preset_lines()))
    listing = commands.add_parser("devices", help="list the devices")
    listing.set_defaults(run=lambda arguments: _print([f"{name:8s}{text}" for name, text in DEVICES.items()]))


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand."""
    program = load_program(arguments.model, arguments.preset, progress=say)
    return _print([f"{name + ':':30s}{value}" for name, value in _model(program) + _limits(program.config)])


def _print(lines: list[str]) -> int:
    print("\n".join(lines))
    return 0


def _model(program: Program) -> list[tuple[str, str]]:
    s, config, kv = program.shape, program.config, program.kv
    weights, head = program.stream_words * config.word_bytes, program.head_words * config.word_bytes
    shortlist = program.shortlist_words * config.word_bytes
    listed = f", or {shortlist:,} for the shortlist" if shortlist else ""
    slot = kv.slot_bytes
    least = weights + head + program.embed_stride + rope_stride(s.head_dim, config)
    beats = WORD_BEATS * (program.stream_words + program.head_words)
    return [
        ("model", f"{s.name}, {s.parameters:,} parameters, {program.weights:,} of them ternary"),
        ("shape", f"{s.layers} layers, hidden {s.hidden}, intermediate {s.intermediate}, {s.heads} heads of "
                  f"{s.head_dim}, {s.kv_heads} key-value heads, vocabulary {s.vocab}, context {s.context}"),
        ("weight stream", f"{weights:,} bytes a pass, and {head:,} for the head" + listed),
        ("padding of ternary weights", f"{program.padding_share:.2%}"),
        ("tables", f"embedding {program.embed.size:,} bytes, rotary {program.rope.size:,}, "
                   f"descriptors {program.program.size:,}"),
        ("KV cache", f"{kv.total_bytes:,} bytes, {slot:,} a token"),
        ("DDR minimum per token",
         f"{least:,} bytes read with an empty cache, {least + slot * s.context:,} with a full one, "
         f"{slot:,} written"),
        ("memory ports' limit",
         f"{config.clock_hz / beats:.1f} passes/s at {config.clock_hz / 1e6:g} MHz (assumed)"),
    ]


def _limits(config: HardwareConfig) -> list[tuple[str, str]]:
    return [("preset", f"{config.name}: {config.rows} rows, {config.ports} x {config.port_bytes} bytes of memory a cycle, "
             f"{config.outputs} x {config.groups} lookups a row, {config.lanes} lanes, top {config.top_k}")] + [
        (f"  {field.name.replace('_', ' ')}", f"{getattr(config, field.name)}") for field in fields(config)
        if field.name.startswith("max_")]


def _preset_lines() -> list[str]:
    return [f"{c.name:8s}{c.rows} rows, {c.ports} x {c.port_bytes} bytes a cycle, hidden up to "
            f"{c.max_hidden}, vocabulary up to {c.max_vocab}, context up to {c.max_context}"
            for c in PRESETS.values()]
