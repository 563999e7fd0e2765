"""Twin of :mod:`terntable.hw.axi_burst`."""

__all__ = ["bursts"]


def bursts(address: int, beats: int, *, beat_bytes: int, burst_beats: int) -> list[tuple[int, int]]:
    """``(address, beats)`` of each burst of a request, cut at multiples of the burst size."""
    size, end, cut = burst_beats * beat_bytes, address + beats * beat_bytes, []
    while address < end:
        stop = min(end, (address // size + 1) * size)
        cut.append((address, (stop - address) // beat_bytes))
        address = stop
    return cut
