"""`terntable bench --device pynq` on the simulated board: what it measures adds up, and stands beside the prediction."""

import json

import pytest

from terntable.host.board.measure import Phase, geometry_of_program, measure_board, predict
from terntable.host.board.power import Sensor
from terntable.host.cli import main
from terntable.host.devices.pynq_board import PynqDevice
from terntable.host.session import Session


@pytest.fixture
def sensor(tmp_path):
    """A supply that always gives 5 W."""
    (tmp_path / "power1_input").write_text("5000000\n")
    return Sensor("ina260_u14", tmp_path / "power1_input")


def test_phases_of_a_board(board, bitfile, program, sensor):
    sizes = {"prompt": 7, "context": 4, "tokens": 3}
    with Session(PynqDevice(program.config, bitfile=bitfile), program) as session:
        phases = measure_board(session, sensor=sensor, **sizes)
        assert session.length == 0
        clock = session.device.clock_hz
    ran = {name: (phase.tokens, phase.counters["passes"]) for name, phase in phases.items()}
    assert ran == {"prefill": (7, 3), "decode": (3, 3)}
    predicted = predict(program, clock, **sizes)
    for name, phase in phases.items():
        told = phase.summary(clock, predicted[name])
        assert told["joules"] == pytest.approx(5 * phase.seconds) and told["watts"] == pytest.approx(5)
        assert told["tokens_per_joule"] == pytest.approx(told["wall_tokens_per_second"] / 5)
        # The prediction knows nothing of this memory's latencies, but is no other machine's.
        assert 0.4 < told["device_to_predicted"] < 1.3, told
        # Simulated, a second of the board takes an hour.
        assert told["wall_tokens_per_second"] < told["device_tokens_per_second"]


def test_what_a_phase_says():
    told = Phase(10, 2.0, {"cycles": 500_000_000}, 12.0).summary(250_000_000, 4.0)
    assert told == {"tokens": 10, "seconds": 2.0, "cycles": 500_000_000, "wall_tokens_per_second": 5.0,
                    "device_tokens_per_second": 5.0, "predicted_tokens_per_second": 4.0,
                    "device_to_predicted": 1.25, "joules": 12.0, "tokens_per_joule": 10 / 12, "watts": 6.0}
    bare = Phase(10, 2.0, {"cycles": None}, None).summary(250_000_000, None)
    assert bare["device_tokens_per_second"] is bare["tokens_per_joule"] is bare["device_to_predicted"] is None


def test_geometry_of_a_program(program):
    shape = geometry_of_program(program)
    assert (shape.hidden, shape.layers, shape.vocab, shape.act) == (36, 2, 97, "relu2")


def test_a_board_without_amaranth_predicts_nothing(program, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "terntable.sim.performance", None)
    assert predict(program, 250_000_000, prompt=4, context=4, tokens=2) == {}


@pytest.fixture
def bench(board, bitfile, checkpoint, sensor, monkeypatch, capsys):
    """Runs the command on the simulated board with that supply; status, output, errors."""
    monkeypatch.setattr("terntable.host.commands.bench_board.find_sensor", lambda: sensor)
    monkeypatch.setattr("terntable.host.commands.bench_board.IDLE_SECONDS", 0.05)
    monkeypatch.setattr("terntable.host.commands.bench_board.TOKENS", 3)

    def run(*words):
        status = main(["bench", "--device", "pynq", "--bitfile", str(bitfile), "--model", str(checkpoint), *words])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_command_line(bench):
    status, out, err = bench("--prompt", "5", "--json")
    assert status == 0, err
    told = json.loads(out)
    assert told["preset"] == "nano" and told["sensor"] == "ina260_u14" and told["idle_watts"] == pytest.approx(5)
    assert (told["decode"]["tokens"], told["prefill"]["tokens"], told["context"]) == (3, 5, 32)
    assert told["clock_hz"] == 249_997_500 and told["board"] is None
    status, out, _ = bench("--prompt", "5")
    assert status == 0 and "simulation predicts:" in out and "tokens/J at 5.00 W" in out and "5.00 W before the run" in out


@pytest.mark.parametrize(("words", "sentence"), [
    (["--prompt", "65"], "--prompt must be 1 to 64, the model's context, not 65"),
    (["--context", "64"], "--context must be 0 to 63, below the model's context, not 64"),
    (["--rows", "2"], "--rows, --layers and --check are of the simulation, not of device pynq"),
    (["--clock-mhz", "0"], "--clock-mhz must be 1 to 1000, not 0"),
])
def test_mistakes(bench, words, sentence):
    status, _, err = bench(*words)
    assert status == 2 and sentence in err


def test_options_of_a_board_elsewhere(capsys):
    assert main(["bench", "--bitfile", "x.bit"]) == 2
    assert "--bitfile and --clock-mhz are for device pynq, not sim" in capsys.readouterr().err
