"""What every queue with two registered handshakes is held to."""

import random
from typing import Any

from tests.hw.bench.streams import SEED, exchange
from tests.hw.bench.timing import check_flow

__all__ = ["check_queue"]


async def check_queue(dut: Any, name: str, *, width: int, places: int, traffic: str) -> None:
    """Items come out in order; ready while a place was free after the last clock edge, valid while one was used."""
    rng = random.Random(f"{SEED}{name}")
    words = [rng.getrandbits(width) for _ in range(200)]
    result = await exchange(dut, name, words, traffic=traffic)
    assert result.o.payloads == words
    entered, left = set(result.i.cycles), set(result.o.cycles)
    level, ready, valid = 0, [], []
    for now in range(len(result.i.ready)):
        ready.append(int(level < places))
        valid.append(int(level > 0))
        level += (now in entered) - (now in left)
    check_flow("i.ready", result.i.ready, ready)
    check_flow("o.valid", result.o.valid, valid)
    if traffic == "flat out":
        assert result.i.cycles == list(range(len(words)))
