"""When :mod:`terntable.hw.attention` does what: cycle by cycle, or how long a command takes when nothing makes it wait."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["AttentionTiming", "Timeline", "cycles"]


@dataclass(frozen=True, kw_only=True)
class AttentionTiming:
    """Latencies that the unit is made of; a test holds them to those of the hardware.

    Attributes
    ----------
    dot, unload, gap : int
        Of the array: to a sum over the lanes, to a word of accumulators, and its cascades' length.
    floats, convert : int
        Of the converters: to the float of an integer, to its product.
    weight : int
        From a slot's turn to its exponential.
    divide : int
        All rows' divisions.
    spacing : int
        From a step to the next one of the same slot, at least.

    """

    dot: int
    unload: int
    gap: int
    floats: int
    convert: int
    weight: int
    divide: int
    spacing: int


class Timeline:
    """What a command does in which cycle; it is accepted in cycle 0.

    Parameters
    ----------
    slots, pack, head_dim : int
        As in the command.
    beat_bytes, port_bytes, lanes : int
        Of the instance.
    offered, taken : sequence of 0 and 1
        By cycle, whether a beat is there and whether a word would be taken; always, if not given.

    Attributes
    ----------
    ready, valid : set of int
        The cycles in which a beat would be taken, and in which a word is there.
    finished : int
        The last busy cycle, mostly that of the last word; ``done`` is 1 in the next one.

    """

    def __init__(self, *, slots: int, pack: int, head_dim: int, beat_bytes: int, port_bytes: int, lanes: int,
                 timing: AttentionTiming, offered: Sequence[int] | None = None, taken: Sequence[int] | None = None):
        self.slots, self.pack, self.lanes, self.timing = slots, pack, lanes, timing
        self.words, self.head_words = beat_bytes // lanes, head_dim // lanes
        self.planes = -(-pack * head_dim // beat_bytes)
        # The plane in which the first head ends.
        self.turn = head_dim // beat_bytes if pack == 2 else self.planes - 1
        self._offered, self._taken = offered, taken
        self.ready: set[int] = set()
        self.valid: set[int] = set()
        scales = self._take(4, -(-slots * max(8 * pack, port_bytes) // beat_bytes))
        self._softmax(self._keys(scales + 1))
        self.finished = self._values()

    def _take(self, now: int, count: int) -> int:
        """Take `count` beats from cycle `now` on; the cycle of the last one."""
        while True:
            self.ready.add(now)
            count -= self._offered is None or self._offered[now]
            if not count:
                return now
            now += 1

    def _keys(self, begin: int) -> list[int]:
        """Key planes, the first one swapped in from cycle `begin` on; when each has ended."""
        ends: list[int] = []
        loaded = 6 + self.words
        for _ in range(self.planes):
            begin = max(begin, loaded)
            ends.append(self._take(begin + 1, self.slots))
            # With few slots a sum might not be written yet.
            pause = self.timing.spacing - 1 if self.slots < self.timing.spacing else 0
            begin, loaded = ends[-1] + pause, begin + self.timing.gap + 3 + self.words
        return ends

    def _softmax(self, ends: list[int]) -> None:
        """When values may come, the first weight of each head can be read, and the first head's factor is known."""
        t, closing = self.timing, self.pack == 2 and self.planes == 1
        first, last = ends[self.turn] + t.dot + 3 + t.convert, ends[-1]
        # If one plane holds both heads, the second one's scores are finished in a pass of their own.
        last = first + self.slots if closing else last
        self._over = last + 1
        scored = [first, last + t.dot + 3 + t.convert][:self.pack]
        scanned = [ends[0] + t.dot + 3, (last if closing else ends[self.turn]) + t.dot + 3][:self.pack]

        divided = scanned[0] + 2 + t.divide
        start = max(scored[0], scanned[-1], divided - 1) + 1
        self._weighed = [start + t.weight + 4]
        if self.pack == 2:
            divided = max(scanned[1], start, divided - 1) + 2 + t.divide
        # The converters take a sum when they are through with the scores.
        converted = max(start + self.slots + t.weight + 2, scored[-1], divided - 1) + 1
        self._factored = converted + t.floats + 2 + t.divide
        if self.pack == 2:
            start = max(scored[1] + 1, divided, converted + 1)
            self._weighed.append(start + t.weight + 4)
        self._summed = start + self.slots + t.weight + 3     # the last head's

    def _values(self) -> int:
        """Value planes and output, cycle by cycle; the last busy cycle."""
        t, useful = self.timing, self.pack * self.head_words
        now, plane, left, gap, place = self._over, 0, 0, 0, 0
        phase = "prime"
        arrivals: list[int] = []                             # when each word of sums can be converted
        room, lane, converted = self.words, 0, 0
        pipe, word = [0] * t.convert, 0                      # 1 for a column on its way, 2 for the last of a word
        factored, clocks = [self._factored, None], None
        left_words = useful
        while True:
            valid, moves = word == 2, word != 2 or self._taken is None or bool(self._taken[now])
            if valid:
                self.valid.add(now)
                left_words -= moves
            if not left_words and phase == "over":
                return now
            # The second head's sum goes first.
            summing = self.pack == 2 and clocks is None and moves and now >= max(self._summed or 0, self._factored or 0)
            head = converted // self.head_words
            issue = (converted < len(arrivals) and arrivals[converted] <= now and not summing
                     and (due := factored[head]) is not None and due <= now)
            popped = 0
            if moves:
                lane = (lane + issue) % self.lanes
                popped = int(issue and lane == 0)
                word, pipe = pipe[-1], [issue + popped, *pipe[:-1]]
            if summing:
                clocks = 0
            elif clocks == t.floats:
                factored[1] = now + 1 + t.divide if factored[1] is None else factored[1]
            elif clocks is not None:
                clocks += moves

            asked = 0
            if phase == "prime" and now >= max(self._needed(plane)):
                phase, left = "run", self.slots
            elif phase == "run":
                self.ready.add(now)
                left -= self._offered is None or self._offered[now]
                if not left:
                    phase, gap, place = "unload", t.gap - 1, 0
            elif phase == "unload" and gap:
                gap -= 1
            elif phase == "unload":
                more = len(arrivals) < useful
                if room or not more:
                    asked, place = int(more), place + 1
                    if asked:
                        arrivals.append(now + t.unload + 1)
                    if place == self.words:
                        plane += 1
                        phase = "over" if plane == self.planes else "prime"
            room += popped - asked
            converted += popped
            now += 1

    def _needed(self, plane: int) -> list[int]:
        """When the weights for a plane's lanes can be read."""
        if self.pack == 1 or plane < self.turn:
            return self._weighed[:1]
        return self._weighed if plane == self.turn else self._weighed[1:]


def cycles(*, slots: int, pack: int, head_dim: int, beat_bytes: int, port_bytes: int, lanes: int, timing: AttentionTiming) -> int:
    """Cycles from the accepted command to ``done`` when every beat is there and every word is taken at once."""
    return 1 + Timeline(slots=slots, pack=pack, head_dim=head_dim, beat_bytes=beat_bytes, port_bytes=port_bytes, lanes=lanes,
                        timing=timing).finished
