"""Twin of :mod:`terntable.hw.axi_burst`."""

from collections import deque

__all__ = ["SplitterCycles", "bursts"]


def bursts(address: int, beats: int, *, beat_bytes: int, burst_beats: int) -> list[tuple[int, int]]:
    """``(address, beats)`` of each burst of a request, cut at multiples of the burst size."""
    size, end, cut = burst_beats * beat_bytes, address + beats * beat_bytes, []
    while address < end:
        stop = min(end, (address // size + 1) * size)
        cut.append((address, (stop - address) // beat_bytes))
        address = stop
    return cut


class SplitterCycles:
    """The splitter cycle by cycle, after reset. Sizes as in the hardware."""

    def __init__(self, *, beat_bytes: int, burst_beats: int) -> None:
        self.sizes = {"beat_bytes": beat_bytes, "burst_beats": burst_beats}
        self.todo: deque[tuple[int, int]] = deque()       # bursts of the request that were not offered yet
        self.offered: tuple[int, int] | None = None

    @property
    def ready(self) -> bool:
        """A request would be accepted, unless dropping."""
        return not self.todo

    @property
    def busy(self) -> bool:
        """Bursts are still to be taken."""
        return bool(self.todo) or self.offered is not None

    def edge(self, *, taken: bool, drop: bool, request: tuple[int, int] | None) -> None:
        """The clock edge after a cycle in which the offered burst was taken or not, and a request accepted or not."""
        if taken or self.offered is None:
            self.offered = self.todo.popleft() if self.todo else None
        if request is not None:
            self.todo.extend(bursts(*request, **self.sizes))
        if drop:
            self.todo.clear()
            self.offered = None
