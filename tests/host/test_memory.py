"""Buffers in a flat memory."""

import numpy as np
import pytest

from terntable.host.errors import DeviceError
from terntable.host.memory import MemoryPool


@pytest.fixture
def pool():
    return MemoryPool(np.zeros(5 * 4096, np.uint8), base=0x1000_0000)


def test_buffers_are_aligned_arrays_of_the_memory(pool):
    one, two = pool.allocate((3, 5), np.float32), pool.allocate(7)
    assert (one.device_address, two.device_address) == (0x1000_0000, 0x1000_1000)
    one[1, 2], two[-1] = 1.5, 9
    assert pool.memory[28:32].view(np.float32)[0] == 1.5 and pool.memory[4096 + 6] == 9
    assert one.shape == (3, 5) and two.dtype == np.uint8


def test_the_first_gap_that_fits_is_used_and_zeroed(pool):
    one, two, three = pool.allocate(4096), pool.allocate(4097), pool.allocate(1)
    assert three.device_address == 0x1000_3000
    two[:] = 7
    two.freebuffer()
    two.freebuffer()
    small, large = pool.allocate(4096), pool.allocate(4096)
    assert (small.device_address, large.device_address) == (0x1000_1000, 0x1000_2000)
    assert not small.any()
    with pool.allocate(4096) as last:
        assert last.device_address == 0x1000_4000
        with pytest.raises(DeviceError,
                           match="A buffer of 1 bytes does not fit: 16385 of the device's 20480 bytes are in "
                           "use"):
            pool.allocate(1)
    assert pool.allocate(1).device_address == 0x1000_4000
    assert one.device_address == 0x1000_0000


def test_flushing_says_what_was_written():
    seen = []
    pool = MemoryPool(np.zeros(3 * 4096, np.uint8), first=4096, on_flush=lambda *where: seen.append(where))
    buffer = pool.allocate(10, np.uint16)
    buffer.flush()
    buffer.sync_to_device()
    buffer[2:4].flush()
    assert seen == [(4096, 20), (4096, 20)]
