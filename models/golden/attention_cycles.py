"""How long :mod:`terntable.hw.attention` takes when nothing makes it wait."""

__all__ = ["cycles"]

#: From the accepted command to the first key beat, besides a cycle for each head.
SETUP = 6

#: From a score's sum over the lanes to its place in memory, from there to the values' first start, and from
#: that to the first weight.
SCORE, INVERT, WEIGHT = 8, 29, 13

#: Before the first division by a sum of exponentials, and of each.
CONVERT, DIVIDE = 8, 29

#: From the last sum to the output's start, from there to the first column, and from the last to `done`.
SUM, OUTPUT = 3, 10


def cycles(*, slots: int, heads: int, head_dim: int, beat_bytes: int, max_group: int) -> int:
    """Cycles from the accepted command to ``done`` when every beat is there and every word is taken at once.

    Parameters
    ----------
    slots, heads, head_dim : int
        As in the command.
    beat_bytes, max_group : int
        Of the instance.

    """
    steps = -(-head_dim // beat_bytes) * heads
    dot_latency = 1 + -(-(beat_bytes.bit_length() - 1) // 3)
    scored = SETUP + heads + slots * (steps + 1) - 1 + dot_latency + SCORE
    started = scored + INVERT
    summed = started + WEIGHT + slots * steps - 1 + SUM
    # Weights are made one a cycle, but never more ahead of their use than the ring holds.
    weights, ring = slots * heads, 1 << (2 * max(2, max_group) + WEIGHT).bit_length()
    last_weight = started + weights
    if weights > ring:
        freed = -(-(weights - ring) // heads)
        room = started + WEIGHT + freed * steps
        last_weight = max(last_weight, room + weights - 1 - ring - (freed - 1) * heads)
    divided = last_weight + WEIGHT - 2 + CONVERT + DIVIDE * heads
    return max(summed, divided) + OUTPUT + heads * head_dim
