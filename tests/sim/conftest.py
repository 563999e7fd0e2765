"""Libraries of little cores, built once a session (and kept by the build cache)."""

import pytest

from terntable.hw.spec.config import preset
from terntable.hw.verilog import TOP, convert
from terntable.sim.build import build_verilog
from tests.sim.broken import Broken
from tests.sim.toy import Toy


@pytest.fixture(scope="session", params=["tiny", "nano", "kv260"])
def toy(request):
    """Configuration and library of the toy core."""
    config = preset(request.param)
    return config, build_verilog(convert(Toy(config), TOP), config)


@pytest.fixture(scope="session")
def traced():
    """Configuration and tracing library of the toy core."""
    config = preset("tiny")
    return config, build_verilog(convert(Toy(config), TOP), config, trace=True)


@pytest.fixture(scope="session")
def broken():
    """Configuration and library of a core that breaks the protocol."""
    config = preset("tiny")
    return config, build_verilog(convert(Broken(config), TOP), config)


@pytest.fixture(scope="session")
def threaded():
    """Configuration and libraries of the toy core, simulated by one thread and by two."""
    config, verilog = preset("nano"), convert(Toy(preset("nano")), TOP)
    return config, [build_verilog(verilog, config, threads=threads) for threads in (1, 2)]
