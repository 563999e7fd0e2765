"""How long a forward takes by its rows, learned as forwards come."""

from bisect import bisect_left

__all__ = ["Latency"]

#: Rows that times are kept for. A few rows more or less may matter: matrix products of 2 or 3 rows can take longer than of 8.
WIDTHS = (*range(1, 17), 20, 24, 28, 32, 40, 48, 64, 96, 128, 256, 512, 1024)
#: What a row adds to a forward, as a share of a forward of one row, until it was measured.
ROW_SHARE = 0.06
#: How fast old times lose weight.
DECAY = 0.8
#: Rows are added to a forward if that makes it shorter than this share of its time.
WORTH = 0.97


class Latency:
    """Seconds of a forward by its rows."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}
        self._known: list[int] = []

    def add(self, rows: int, seconds: float) -> None:
        """Learn from a forward."""
        width = WIDTHS[min(bisect_left(WIDTHS, rows), len(WIDTHS) - 1)]
        known = self._seconds.get(width)
        # A forward that was interrupted by other work must not count in full.
        value = seconds if known is None else min(seconds, 2 * known)
        self._seconds[width] = value if known is None else DECAY * known + (1 - DECAY) * value
        self._known = sorted(self._seconds)

    def __call__(self, rows: int) -> float:
        """Seconds that a forward of so many rows should take; without evidence, in units of a forward of one row."""
        if not self._seconds:
            return 1 + ROW_SHARE * (rows - 1)
        known = self._known
        above = bisect_left(known, rows)
        if above < len(known) and known[above] == rows:
            return self._seconds[rows]
        if 0 < above < len(known):
            low, high = known[above - 1], known[above]
            part = (rows - low) / (high - low)
            return self._seconds[low] * (1 - part) + self._seconds[high] * part
        nearest = known[0] if above == 0 else known[-1]
        slope = ROW_SHARE * self._seconds[known[0]] / (1 + ROW_SHARE * (known[0] - 1))
        if len(known) > 1:
            slope = max(slope / 4, (self._seconds[known[-1]] - self._seconds[known[0]]) / (known[-1] - known[0]))
        return max(self._seconds[nearest] + slope * (rows - nearest), 1e-9)

    def quickest(self, rows: int, most: int) -> int:
        """How many rows, from `rows` to `most`, make the shortest forward; more than `rows` only where that was measured."""
        wider = [width for width in self._known[bisect_left(self._known, rows):] if width <= most]
        best = min(wider, key=self._seconds.__getitem__, default=rows)
        return best if best != rows and self._seconds[best] < WORTH * self(rows) else rows
