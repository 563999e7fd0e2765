"""`terntable bench --device pynq`: a real model on a board, by wall clock, counters and power sensor, beside the prediction."""

import argparse
import json
import time
from typing import Any

from terntable.host.arguments import board_options, board_preset, say
from terntable.host.board.measure import measure_board, predict
from terntable.host.board.power import EnergyMeter, Sensor, find_sensor
from terntable.host.device import Device
from terntable.host.devices.opening import open_device
from terntable.host.errors import DeviceError, InputError
from terntable.host.loaded import memory_needed
from terntable.host.models import load_program
from terntable.host.session import Session

__all__ = ["run_on_board"]

#: Seconds for which the board's power is measured before it works.
IDLE_SECONDS = 2.0

#: Tokens that are decoded: enough that a reading of the sensor every 20 ms means something.
TOKENS = 64


def run_on_board(arguments: argparse.Namespace, *, head: str = "exact") -> int:
    """Measure and print; 0 when all went well."""
    options = board_options(arguments)
    if arguments.rows is not None or arguments.layers is not None or arguments.check:
        raise InputError("--rows, --layers and --check are of the simulation, not of device pynq")
    program = load_program(arguments.model, board_preset(arguments), shortlist=head == "two-stage", progress=say)
    room = program.shape.context
    prompt = min(64, room) if arguments.prompt is None else arguments.prompt
    context = min(128, room // 2) if arguments.context is None else arguments.context
    if not 1 <= prompt <= room:
        raise InputError(f"--prompt must be 1 to {room}, the model's context, not {prompt}")
    if not 0 <= context < room:
        raise InputError(f"--context must be 0 to {room - 1}, below the model's context, not {context}")
    sizes: dict[str, Any] = {"prompt": prompt, "context": context, "tokens": min(TOKENS, room - context)}
    sensor = find_sensor()
    with open_device("pynq", program.config, memory_bytes=memory_needed(program), progress=say, **options) as device:
        idle = _idle(sensor)
        with Session(device, program, progress=say, head=head) as session:
            phases = measure_board(session, sensor=sensor, seed=arguments.seed, **sizes)
        clock, board = _clock(device), device.board
    predicted = predict(program, clock, head=head, **sizes)
    result = {"model": program.shape.name, "preset": program.config.name, "head": head, "board": board,
              "clock_hz": clock, **sizes,
              "sensor": None if sensor is None else sensor.name, "idle_watts": idle,
              **{name: phase.summary(clock, predicted.get(name)) for name, phase in phases.items()}}
    print(json.dumps(result) if arguments.json else _text(result))
    return 0


def _clock(device: Device) -> int:
    if device.clock_hz is None:
        raise DeviceError(f"Device {device.name} has no clock")
    return device.clock_hz


def _idle(sensor: Sensor | None) -> float | None:
    if sensor is None:
        return None
    with EnergyMeter(sensor) as meter:
        time.sleep(IDLE_SECONDS)
    return meter.watts


def _text(result: dict[str, Any]) -> str:
    power = f"{result['sensor']}, {result['idle_watts']:.2f} W before the run" if result["sensor"] else \
        "no sensor found, so no energy: see terntable doctor"
    board = result["board"] or "a simulated board, whose wall clock is the simulator's"
    lines = [("board", board), ("", f"{result['model']} on preset {result['preset']}, {result['head']} head, clock read back as "
                  f"{result['clock_hz'] / 1e6:g} MHz"), ("power", power)]
    for name, what in (("prefill", f"prompt of {result['prompt']} tokens"),
                       ("decode", f"{result['tokens']} tokens from context {result['context']}")):
        phase = result[name]
        lines += [(name, what), ("  wall clock", f"{phase['wall_tokens_per_second']:.2f} tokens/s")]
        if phase["device_tokens_per_second"]:
            lines.append(("  device's counters", f"{phase['device_tokens_per_second']:.2f} tokens/s, {phase['cycles']:,} cycles"))
        if phase["predicted_tokens_per_second"]:
            share = f" (measured is {phase['device_to_predicted']:.1%} of it)" if phase["device_to_predicted"] else ""
            lines.append(("  simulation predicts", f"{phase['predicted_tokens_per_second']:.2f} tokens/s{share}"))
        else:
            lines.append(("  simulation predicts", "nothing: it needs amaranth (pip install amaranth)"))
        if phase["tokens_per_joule"]:
            lines.append(("  energy", f"{phase['tokens_per_joule']:.2f} tokens/J at {phase['watts']:.2f} W, the whole board"))
    return "\n".join(f"{name + ':' if name else '':27s}{value}" for name, value in lines)
