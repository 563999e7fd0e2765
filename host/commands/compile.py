"""`terntable compile`: a model for a preset, in one file."""

import argparse
from pathlib import Path

from terntable.host.arguments import say
from terntable.host.errors import InputError
from terntable.host.models import load_program

__all__ = ["add_parser", "run"]


def add_parser(commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("compile", help="compile a model to one file",
                                 description="Compile a model to one file.")
    parser.add_argument("model", help="shipped name or Hugging Face directory")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE",
                        help="file to write, ending in .safetensors")
    parser.add_argument("--preset", help="hardware configuration, see `terntable presets` (tiny)")
    parser.add_argument("--shortlist", action="store_true", help="add what the two-stage head needs")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand; 0 when the file is written."""
    output: Path = arguments.output
    if output.suffix != ".safetensors" or output.is_dir():
        raise InputError(f"The output must be a file that ends in .safetensors, not {output}")
    program = load_program(arguments.model, arguments.preset, shortlist=arguments.shortlist, progress=say)
    try:
        program.save(output)
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error.strerror or error}") from error
    print(f"{output}: {program.shape.name} for {program.config.name}, {output.stat().st_size:,} bytes")
    return 0
