"""What the parts of attention share: sizes, the order of floats, and a port."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.float_from_int import FloatFromInt
from terntable.hw.float_mul import FloatMul

__all__ = ["MASK_SLOTS", "AttentionSizes", "ScalePort", "order", "unorder"]

#: Slots after a row's prefix that its mask chooses from.
MASK_SLOTS = 64


def order(pattern: Value) -> Value:
    """A float32 pattern as an unsigned number that orders as the floats do; 0 is below them all."""
    return Mux(pattern[31], ~pattern, pattern ^ (1 << 31))[:32]


def unorder(key: Value) -> Value:
    """The pattern that :func:`order` made ``key`` from."""
    return Mux(key[31], key ^ (1 << 31), ~key)[:32]


class AttentionSizes:
    """Sizes that the parts of attention share; parameters as for :class:`terntable.hw.attention.Attention`.

    Attributes
    ----------
    beats : int
        Most beats of a key or a value.
    entries : int
        Most scores of a row.
    scale_bits : int
        Width, with the sign, of the widest integer that becomes a float: a sum of weighted values.
    job : data.StructLayout
        A command as the parts see it, ``beats`` being those of one key.

    """

    def __init__(self, *, rows: int, beat_bytes: int, max_context: int, max_head_dim: int, max_heads: int,
                 max_group: int):
        self.rows, self.beat_bytes = rows, beat_bytes
        # Counters and addresses keep at least one bit.
        self.max_context, self.max_heads = max(2, max_context), max(2, max_heads)
        self.max_group = max(2, max_group)
        self.beats = max(2, -(-max_head_dim // beat_bytes))
        self.entries = self.max_context * self.max_group
        # A weight is at most 2**16 in magnitude, a value 2**7.
        slot_bits = (max_context - 1).bit_length()
        self.exponential_bits = 17 + slot_bits
        self.score_bits = 16 + (self.beats * beat_bytes - 1).bit_length()
        self.scale_bits = max(25 + slot_bits, self.score_bits)
        self.word = range(self.max_heads * self.beats)
        self.job = data.StructLayout({
            "slots": range(self.max_context + 1), "heads": range(self.max_group + 1),
            "first_head": range(self.max_heads), "first_word": self.word, "head_dim": range(max_head_dim + 1),
            "beats": range(self.beats + 1), "imm": 32,
        })


class ScalePort(wiring.Signature):
    """``y = mul(from_int(a), b)`` for each row, as its user sees it.

    ``b`` is due ``FloatFromInt.LATENCY`` clocks after its ``a``, and ``y`` is there ``LATENCY`` after ``a``.
    """

    LATENCY = FloatFromInt.LATENCY + FloatMul.LATENCY

    def __init__(self, *, rows: int, width: int):
        super().__init__({
            "en": Out(1),
            "a": Out(data.ArrayLayout(signed(width), rows)),
            "b": Out(data.ArrayLayout(32, rows)),
            "y": In(data.ArrayLayout(32, rows)),
        })
