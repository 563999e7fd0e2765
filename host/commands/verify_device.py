"""`terntable verify-device`: the same work on a device and on the golden model, compared unit by unit."""

import argparse

from terntable.host.arguments import (
    add_board_options,
    add_memory_options,
    add_model_options,
    board_options,
    board_preset,
    memory_options,
    say,
)
from terntable.host.checked import CheckedSession
from terntable.host.devices.opening import MACHINES, open_device
from terntable.host.errors import InputError
from terntable.host.loaded import memory_needed
from terntable.host.models import load_program
from terntable.host.text import encode_prompt, load_tokenizer

__all__ = ["add_parser", "run"]


def add_parser(commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "verify-device", help="compare a device with the golden model",
        description="Run a prefill, decodes, a chain, a tree and a rollback on a device and on the golden "
                    "model, and compare results, KV cache and byte counters of every pass.")
    add_model_options(parser)
    parser.add_argument("--device", default="sim", help=f"{', '.join(MACHINES)} (sim)")
    parser.add_argument("--prompt", default="In the beginning", help="text to start from")
    parser.add_argument("--max-tokens", type=int, default=4, metavar="N", help="tokens to decode (4)")
    add_memory_options(parser)
    add_board_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand; 0 when every byte is equal. A difference is raised as Mismatch."""
    if arguments.device not in MACHINES:
        raise InputError(f"Unknown device {arguments.device!r}; known here: {', '.join(MACHINES)}")
    options = memory_options(arguments) | board_options(arguments)
    program = load_program(arguments.model, board_preset(arguments), progress=say)
    config, shape = program.config, program.shape
    ids = encode_prompt(load_tokenizer(program.tokenizer.tobytes()), arguments.prompt, shape.bos)
    room = shape.context - len(ids) - config.rows
    if room < 1:
        raise InputError(f"The prompt has {len(ids)} tokens, but must have at most "
                         f"{shape.context - config.rows - 1}: the context of {shape.context} must also hold a "
                         f"decode and a tree of {config.rows}")
    if not 1 <= arguments.max_tokens <= room:
        raise InputError(f"--max-tokens must be 1 to {room}, what the context of {shape.context} holds after "
                         f"the prompt and a tree, not {arguments.max_tokens}")
    with open_device(arguments.device, config, memory_bytes=memory_needed(program), progress=say,
                     **options) as device:
        with CheckedSession(device, program) as session:
            say(f"Prefill of {len(ids)} tokens")
            token = int(session.prefill(ids, logits=True).best[0])
            for n in range(arguments.max_tokens):
                say(f"Decode {n + 1} of {arguments.max_tokens}")
                token = int(session.decode(token, logits=True).best[0])
            _trees(session, token)
            print(f"{shape.name} on {device.name}, preset {config.name}: equal to the golden model "
                  f"({session.passes} passes; results, KV cache and byte counters)")
    return 0


def _trees(session: CheckedSession, token: int) -> None:
    """A chain, and a tree whose second branch is kept, so that rows move; then both are taken back."""
    rows, length = session.program.config.rows, session.length
    tokens = [(token + n) % session.vocab for n in range(rows)]
    say(f"Chain of {rows} rows")
    session.verify(tokens, logits=True)
    say(f"Tree of {rows} rows")
    parents = [-1, *((n - 1) // 2 for n in range(1, rows))]
    session.verify(tokens, parents, logits=True)
    session.commit([0, 2] if rows > 2 else [0])
    say("Rollback")
    session.rollback(length)
    session.prefill(tokens)
