"""One simulator a worker: building and loading it is the dear part."""

from collections.abc import Iterator

import pytest

from terntable.hw.spec.config import preset
from tests.system.models import ODD, random_program
from tests.system.pair import Pair


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Golden machine and simulator with the odd model, two sequences, memory stalls on."""
    program = random_program(preset("nano"), **ODD)
    both = Pair(program, sequences=2, stall=0.1, seed=3)
    yield both
    both.close()
