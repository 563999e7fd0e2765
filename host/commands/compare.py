"""`terntable compare`: decoding methods side by side, in counts and on the clock."""

import argparse
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from terntable.host.arguments import add_memory_options, add_model_options, memory_options, say
from terntable.host.decoding.accelerator_target import AcceleratorTarget
from terntable.host.decoding.comparing import Contender, Result, compare, gap, method_contender
from terntable.host.decoding.draft_model import PART as DRAFT
from terntable.host.decoding.draft_model import trained_model
from terntable.host.decoding.generation import run_method
from terntable.host.decoding.method import LOSSLESS
from terntable.host.decoding.parts import part_file
from terntable.host.decoding.prompts import load_prompts
from terntable.host.decoding.registry import parse_method
from terntable.host.decoding.target import DecodingTarget
from terntable.host.devices.opening import MACHINES, open_device
from terntable.host.errors import InputError
from terntable.host.loaded import memory_needed
from terntable.host.models import load_program
from terntable.host.plot import scatter
from terntable.host.sampling import Sampling
from terntable.host.session import Session
from terntable.host.text import encode_prompt, load_tokenizer

__all__ = ["add_parser", "run"]

#: Columns of the table: title, key, format.
COLUMNS = (("tokens/forward", "tokens_per_forward", "{:.2f}"), ("width", "verify_width", "{:.1f}"),
           ("draft cost", "draft_cost", "{:.2f}"), ("seconds", "seconds", "{:.2f}"), ("ratio", "wall_clock_ratio", "{:.2f}"),
           ("equal", "equal_to_greedy", "{}"), ("tokens", "tokens", "{}"))
SIMULATED = (("simulated tok/s", "simulated_tokens_per_second", "{:.1f}"),)


def add_parser(commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("compare", help="decoding methods side by side", description="Decoding methods side by side.")
    add_model_options(parser)
    parser.add_argument("--device", default="torch", help=f"torch, {', '.join(MACHINES)} (torch)")
    parser.add_argument("--methods", required=True, metavar="LIST",
                        help="names between commas, options after colons, as greedy,aded:nodes=16; hf-greedy, hf-prompt-lookup and "
                             "hf-assisted are transformers' own")
    parser.add_argument("--prompts", default="open", metavar="FILE",
                        help="lines of JSON with a prompt each, lines of text, or a shipped set: copying, open, kjv (open)")
    parser.add_argument("--limit", type=int, metavar="N", help="most prompts (all)")
    parser.add_argument("--max-tokens", type=int, default=64, metavar="N", help="most new tokens of each prompt (64)")
    parser.add_argument("--temperature", type=float, default=0.0, metavar="T",
                        help="above 0, tokens are drawn; `equal` then says whether they are those of plain sampling, which some "
                             "lossless methods keep the law of, but not the tokens (0)")
    parser.add_argument("--clocked", action="store_true",
                        help="budgets of drafts by the clock, in place of each paper's (device torch)")
    parser.add_argument("--dtype", choices=("float32", "float64", "bfloat16"), default="float32",
                        help="numbers that the model runs in (float32; device torch)")
    parser.add_argument("--require-equal", action="store_true",
                        help="exit with 1 when a lossless method's tokens are not those of plain decoding")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also write a plot, an SVG file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_memory_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand."""
    names = [name for name in arguments.methods.split(",") if name]
    if not names:
        raise InputError("--methods names no method")
    for name in names:
        if not name.startswith("hf-"):
            parse_method(name)
        elif arguments.device != "torch":
            raise InputError(f"{name} is transformers' own and needs device torch, not {arguments.device}")
    if arguments.max_tokens < 1:
        raise InputError(f"--max-tokens must be at least 1, not {arguments.max_tokens}")
    if arguments.limit is not None and arguments.limit < 1:
        raise InputError(f"--limit must be at least 1, not {arguments.limit}")
    sampling = Sampling(temperature=arguments.temperature)
    if not sampling.greedy:
        if arguments.require_equal:
            raise InputError("--require-equal is for temperature 0, where a lossless method's tokens are those of plain decoding")
        if drawn := [name for name in names if name.startswith("hf-")]:
            raise InputError(f"{drawn[0]} draws other tokens than ours at every temperature above 0, so it is compared at 0 only")
    if arguments.device != "torch" and (arguments.clocked or arguments.dtype != "float32"):
        raise InputError(f"--clocked and --dtype are for device torch, not {arguments.device}")
    if arguments.plot is not None and not arguments.plot.parent.is_dir():
        raise InputError(f"--plot must be a file in a folder that exists, not {arguments.plot}")
    prompts = load_prompts(arguments.prompts)[:arguments.limit]
    return (_torch if arguments.device == "torch" else _machine)(arguments, names, prompts)


def _torch(arguments: argparse.Namespace, names: list[str], prompts: list[str]) -> int:
    import torch

    from terntable.host.decoding.hf_baselines import BASELINES, run_baseline
    from terntable.host.decoding.layered import LayeredTarget
    from terntable.host.decoding.loading import load_model

    for name in names:
        if name.startswith("hf-") and name not in BASELINES:
            raise InputError(f"Unknown baseline {name!r}; known: {', '.join(BASELINES)}")
    causal = load_model(arguments.model)
    target = LayeredTarget(causal.model, dtype=getattr(torch, arguments.dtype))
    contenders = []
    for name in names:
        if name in BASELINES:
            assistant = None
            if name == "hf-assisted" and part_file(causal.name, DRAFT) is not None:
                assistant = trained_model(name, causal.name)[0].to(causal.model.dtype)
            contenders.append(Contender(name, partial(run_baseline, name, causal, max_tokens=arguments.max_tokens,
                                                      assistant=assistant)))
            continue
        method, options = parse_method(name)
        contenders.append(method_contender(name, method, options, target, eos=causal.eos, model=causal.name,
                                           tokenizer=causal.tokenizer.backend_tokenizer, clocked=arguments.clocked,
                                           **_drawn(arguments)))
    return _compare(arguments, contenders, target, [causal.chat(prompt) for prompt in prompts], causal.eos)


def _machine(arguments: argparse.Namespace, names: list[str], prompts: list[str]) -> int:
    if arguments.device not in MACHINES:
        raise InputError(f"Unknown device {arguments.device!r}; known: torch, {', '.join(MACHINES)}")
    for name in names:
        method, options = parse_method(name)
        method.check(options, arguments.device, AcceleratorTarget.capabilities)
    program = load_program(arguments.model, arguments.preset, progress=say)
    shape, tokenizer = program.shape, load_tokenizer(program.tokenizer.tobytes())
    ids = [encode_prompt(tokenizer, prompt, shape.bos) for prompt in prompts]
    with open_device(arguments.device, program.config, memory_bytes=memory_needed(program, states=True), progress=say,
                     **memory_options(arguments)) as device, Session(device, program) as session:
        target = AcceleratorTarget(session)
        contenders = []
        for name in names:
            method, options = parse_method(name)
            contenders.append(method_contender(name, method, options, target, eos=shape.eos, model=shape.name,
                                               tokenizer=tokenizer, **_drawn(arguments)))
        return _compare(arguments, contenders, target, ids, shape.eos, clock_hz=device.clock_hz)


def _compare(arguments: argparse.Namespace, contenders: list[Contender], target: DecodingTarget, prompts: list[list[int]],
             eos: tuple[int, ...], clock_hz: int | None = None) -> int:
    longest = max(map(len, prompts))
    if longest + arguments.max_tokens > target.context:
        raise InputError(f"A prompt of {longest} tokens and {arguments.max_tokens} new ones do not fit the context of "
                         f"{target.context}")
    if arguments.device == "torch":
        # The first forwards of a process are slower than all others.
        for one in contenders:
            one.run(prompts[0][-8:])
    def greedy(prompt: Sequence[int]) -> list[int]:
        return run_method(target, "greedy", prompt, eos=eos, **_drawn(arguments)).tokens

    results = [Result(one.name) for one in contenders]
    for number in compare(contenders, results, prompts, greedy, partial(gap, target)):
        say(f"prompt {number} of {len(prompts)}")
    base = next((one.seconds for one in results if one.name == "hf-greedy"),
                next((one.seconds for one in results if one.name == "greedy"), None))
    lines = [one.as_json(base, clock_hz) for one in results]
    if arguments.plot is not None:
        arguments.plot.write_text(scatter(
            [(line["verify_width"], line["tokens_per_forward"], line["method"]) for line in lines], labels=True,
            x="rows of a forward", y="new tokens of a forward", title=f"{arguments.model}, {len(prompts)} prompts"))
        say(f"Plot written to {arguments.plot}")
    unequal = [line["method"] for line in lines if not line["equal_to_greedy"] and _lossless(line["method"])]
    code = 1 if arguments.require_equal and unequal else 0
    if code:
        say(f"Not equal to plain decoding: {', '.join(unequal)}")
    if arguments.json:
        print(json.dumps({"model": arguments.model, "device": target.name, "prompts": len(prompts), "clock_hz": clock_hz,
                          "convention": "every new token, by forwards that verified; plain decoding has 1", "results": lines}))
        return code
    print(table(lines, COLUMNS + (SIMULATED if clock_hz else ())))
    return code


def _drawn(arguments: argparse.Namespace) -> dict[str, Any]:
    """How many tokens, and how they are chosen."""
    return {"max_tokens": arguments.max_tokens, "sampling": Sampling(temperature=arguments.temperature)}


def _lossless(name: str) -> bool:
    return name.startswith("hf-") or parse_method(name)[0].guarantee == LOSSLESS


def table(lines: Sequence[Mapping[str, Any]], columns: Sequence[tuple[str, str, str]]) -> str:
    """Lines as text, a column for each title, key and format."""
    rows = [["method", *(title for title, _, _ in columns)]]
    for line in lines:
        rows.append([line["method"], *("-" if line[key] is None else form.format(line[key]) for _, key, form in columns)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows)
