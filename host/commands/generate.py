"""`terntable generate`: text from a prompt, and what it cost."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
from terntable.host.decoding.accelerator_target import AcceleratorTarget
from terntable.host.decoding.ledger import Ledger
from terntable.host.decoding.registry import parse_method
from terntable.host.decoding.stream import stream_method
from terntable.host.decoding.target import DecodingTarget
from terntable.host.device import Device
from terntable.host.devices.opening import DEVICES, open_device
from terntable.host.devices.recording import RecordingDevice
from terntable.host.errors import InputError
from terntable.host.generate import Step, generate
from terntable.host.loaded import memory_needed
from terntable.host.models import find_model, load_program
from terntable.host.program import Program
from terntable.host.report import Report
from terntable.host.sampling import Sampling
from terntable.host.session import HEADS, Session
from terntable.host.target import Target
from terntable.host.text import encode_prompt, load_tokenizer
from terntable.quant.huggingface import read_config

__all__ = ["add_parser", "run"]


def add_parser(commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("generate", help="continue a prompt", description="Continue a prompt.")
    add_model_options(parser)
    parser.add_argument("--device", default="golden", help=f"{', '.join(DEVICES)} (golden)")
    prompt = parser.add_mutually_exclusive_group(required=True)
    prompt.add_argument("--prompt", help="text to continue")
    prompt.add_argument("--prompt-tokens", metavar="IDS",
                        help="token ids instead of a text, as 0,17,4; nothing is put before them")
    parser.add_argument("--head", choices=HEADS, default="exact",
                        help="exact, or two-stage: a ternary shortlist first, which may miss the likeliest token (exact)")
    parser.add_argument("--method", metavar="NAME",
                        help="decoding method, with options as NAME:option=value, see `terntable methods` (one token a pass)")
    parser.add_argument("--max-tokens", type=int, default=32, metavar="N", help="most new tokens (32)")
    parser.add_argument("--temperature", type=float, default=0.0, metavar="T",
                        help="0 takes the likeliest token (0)")
    parser.add_argument("--top-k", type=int, default=0, metavar="K",
                        help="draw from the K likeliest; 0 is all (0)")
    parser.add_argument("--top-p", type=float, default=1.0, metavar="P",
                        help="draw from the likeliest that reach P together (1)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the draws (0)")
    parser.add_argument("--stop", action="append", default=[], metavar="TEXT",
                        help="end before this text; may be repeated")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.add_argument("--check", action="store_true", help="compare every pass with the golden model")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="waveform of the run (device sim)")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write down all that passes between host and device")
    add_memory_options(parser)
    add_board_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand; 0 when all went well."""
    sampling = Sampling(temperature=arguments.temperature, top_k=arguments.top_k, top_p=arguments.top_p,
                        seed=arguments.seed)
    if arguments.device not in DEVICES:
        raise InputError(f"Unknown device {arguments.device!r}; known: {', '.join(DEVICES)}")
    # 0 and less is wrong whatever the model's context is.
    if arguments.max_tokens < 1:
        raise InputError(f"--max-tokens must be at least 1, not {arguments.max_tokens}")
    if arguments.method is not None:
        parse_method(arguments.method)
    options: dict[str, Any] = memory_options(arguments) | board_options(arguments)
    if arguments.trace is not None:
        if arguments.device != "sim":
            raise InputError(f"--trace is for device sim, not {arguments.device}")
        # The simulator would say so too, but after a build of minutes.
        if arguments.trace.is_dir() or not arguments.trace.parent.is_dir():
            raise InputError(f"--trace must be a file in a folder that exists, not {arguments.trace}")
        options["trace"] = arguments.trace
    return (_torch if arguments.device == "torch" else _machine)(arguments, sampling, options)


def _torch(arguments: argparse.Namespace, sampling: Sampling, options: dict[str, Any]) -> int:
    from terntable.host.devices.torch_reference import ReferenceTarget

    if arguments.record is not None:
        raise InputError("--record is of a device that runs a compiled program, which torch does not")
    if arguments.check:
        raise InputError("--check compares bytes of a compiled program, which device torch does not run")
    if arguments.head != "exact":
        raise InputError(f"Device torch has an exact head only, not {arguments.head}")
    if arguments.preset is not None:
        raise InputError(f"--preset {arguments.preset} has no meaning for device torch")
    path = find_model(arguments.model)
    if not path.is_dir():
        raise InputError(f"Device torch runs a Hugging Face directory, but {path} is a compiled file")
    config = read_config(path)
    tokenizer = path / "tokenizer.json"
    text = tokenizer.read_bytes() if tokenizer.is_file() else b""
    bos, eos = config.bos_token_id, config.eos_token_id
    prepared = _Prompt(arguments, text, bos if isinstance(bos, int) else None,
                       () if eos is None else (eos,) if isinstance(eos, int) else tuple(eos))
    prepared.check(config.vocab_size, config.max_position_embeddings)
    target = ReferenceTarget(path)
    return _run(target, target.decoding, prepared, arguments, sampling, Report(model=path.resolve().name, device="torch"))


def _machine(arguments: argparse.Namespace, sampling: Sampling, options: dict[str, Any]) -> int:
    program = load_program(arguments.model, board_preset(arguments), shortlist=arguments.head == "two-stage", progress=say)
    shape = program.shape
    prompt = _Prompt(arguments, program.tokenizer.tobytes(), shape.bos, shape.eos)
    prompt.check(shape.vocab, shape.context)
    kind = CheckedSession if arguments.check else Session
    with _open(arguments, program, options) as device:
        with kind(device, program, head=arguments.head) as session:
            status = _Status()
            session.on_cycles = status.cycles
            report = Report(model=shape.name, device=device.name, clock_hz=device.clock_hz, on_board=device.board is not None,
                            beat_bytes=program.config.beat_bytes)
            return _run(session, AcceleratorTarget(session), prompt, arguments, sampling, report, status=status)


def _open(arguments: argparse.Namespace, program: Program, options: dict[str, Any]) -> Device:
    needed = memory_needed(program, states=arguments.device != "pynq")
    device = open_device(arguments.device, program.config, memory_bytes=needed, progress=say, **options)
    return device if arguments.record is None else RecordingDevice(device, arguments.record)


def _run(target: Target, decoding: DecodingTarget, prompt: "_Prompt", arguments: argparse.Namespace, sampling: Sampling,
         report: Report, *, status: "_Status | None" = None) -> int:
    ledger = None if arguments.method is None else Ledger()
    given: dict[str, Any] = {"max_tokens": arguments.max_tokens, "sampling": sampling, "tokenizer": prompt.tokenizer,
                             "stop": arguments.stop, "eos": prompt.eos}
    if ledger is None:
        steps = generate(target, prompt.tokens, **given)
    else:
        method, chosen = parse_method(arguments.method)
        report.method, report.ledger = arguments.method, ledger
        steps = stream_method(decoding, method, prompt.tokens, options=chosen, model=report.model, ledger=ledger, **given)
    report.prompt_tokens = len(prompt.tokens)
    if not arguments.json and arguments.prompt is not None:
        print(arguments.prompt, end="", flush=True)
    for step in steps:
        if status is not None:
            status.clear()
        report.add(step)
        if not arguments.json:
            _show(step, prompt.tokenizer is not None)
    if isinstance(target, CheckedSession):
        report.checked_passes = target.passes
    print(json.dumps(report.as_json()) if arguments.json else "\n\n" + report.as_text(), flush=True)
    return 0


def _show(step: Step, has_text: bool) -> None:
    print(step.text if has_text else f"{step.token} ", end="", flush=True)


class _Prompt:
    """The prompt's tokens, from text or ids, and what decodes the answer."""

    def __init__(self, arguments: argparse.Namespace, tokenizer: bytes, bos: int | None,
                 eos: tuple[int, ...]) -> None:
        self.eos = eos
        self.max_tokens = arguments.max_tokens
        self.tokenizer = load_tokenizer(tokenizer) if tokenizer or arguments.prompt is not None else None
        if arguments.prompt is not None:
            assert self.tokenizer is not None
            self.tokens = encode_prompt(self.tokenizer, arguments.prompt, bos)
            return
        try:
            self.tokens = [int(word) for word in arguments.prompt_tokens.split(",")]
        except ValueError as error:
            raise InputError("--prompt-tokens must be whole numbers between commas, not "
                             f"{arguments.prompt_tokens!r}") from error

    def check(self, vocab: int, context: int) -> None:
        """Refuse before a device is opened, which may take minutes."""
        for token in self.tokens:
            if not 0 <= token < vocab:
                raise InputError(f"Token id {token} is outside the vocabulary, 0 to {vocab - 1}")
        if len(self.tokens) > context:
            raise InputError(f"The prompt has {len(self.tokens)} tokens, but the context holds {context}")
        if self.max_tokens > context:
            raise InputError(f"--max-tokens must be 1 to {context}, the model's context, not "
                             f"{self.max_tokens}")


class _Status:
    """A line on a terminal that says how far the running pass is."""

    def __init__(self) -> None:
        self.cycles: Callable[[int], None] | None = self._cycles if sys.stderr.isatty() else None
        self._shown = False
        self._first = True

    def _cycles(self, cycles: int) -> None:
        # Once text streams, the line would tear it.
        if self._first:
            print(f"\r  prompt: {cycles:,} cycles of a pass", end="\x1b[K", file=sys.stderr, flush=True)
            self._shown = True

    def clear(self) -> None:
        """Remove the line for good."""
        if self._shown:
            print("\r", end="\x1b[K", file=sys.stderr, flush=True)
        self._first = self._shown = False
