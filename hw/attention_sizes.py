"""What the parts of attention share: sizes and layouts."""

from amaranth.hdl import unsigned
from amaranth.lib import data

from terntable.hw.shapes import integers, per_row

__all__ = ["MASK_SLOTS", "WEIGHT_BITS", "AttentionSizes"]

#: Slots after a row's prefix that its mask chooses from.
MASK_SLOTS = 64

#: Bits, with the sign, of the value scales and of the weights that values are multiplied with.
WEIGHT_BITS = 17


class AttentionSizes:
    """Sizes that the parts of attention share; parameters as for :class:`terntable.hw.attention.Attention`.

    Attributes
    ----------
    planes : int
        Most planes of the keys.
    words : int
        Words of `lanes` columns in a plane.
    score_bits, exponential_bits, sum_bits : int
        Widths of a query times a key, of the (unsigned) sum of exponentials, and of a sum of weighted values.
    slot : range
        Shape of a slot's number.
    floats, word : layouts
        A float32 for each row; `lanes` columns of sums for each row.
    job : data.StructLayout
        A command and what follows from it: ``last`` slot and the one ``before_last`` (any if there is none); ``last_plane``
        and the plane ``turn`` where the first head ends; ``last_scale_beat``; words of ``lanes`` columns of a head
        (``head_words``) and of all (``all_words``). ``paired``: two heads.
    step : data.StructLayout
        A key beat, or a slot of the closing pass, on its way: ``second`` head; ``start`` its sum, or finish it (``final``);
        ``split``: the upper lanes are the second head's; ``closing``: no products. ``scan``: the slot's value scale of head
        ``scan_second`` takes part in the maximum. ``first``, ``last``: of the plane.

    """

    def __init__(self, *, rows: int, lanes: int, beat_bytes: int, port_bytes: int, max_context: int, max_head_dim: int):
        self.rows, self.lanes, self.beat_bytes, self.port_bytes = rows, lanes, beat_bytes, port_bytes
        # Counters and addresses keep at least one bit.
        self.max_context = max(2, max_context)
        self.planes = max(2, -(-2 * max_head_dim // beat_bytes))
        self.words = beat_bytes // lanes
        self.slot = range(self.max_context)
        slot_bits = (max_context - 1).bit_length()
        self.score_bits = 16 + (max_head_dim - 1).bit_length()
        self.exponential_bits = 17 + slot_bits
        # A weight is below 2**16 in magnitude, a value at most 2**7.
        self.sum_bits = WEIGHT_BITS + 7 + slot_bits
        self.convert_bits = max(self.sum_bits, self.score_bits)
        self.floats = per_row(rows=rows)
        self.word = integers(rows=rows, lanes=lanes, width=self.sum_bits)
        self.scale_beats = max(2, -(-self.max_context * max(16, port_bytes) // beat_bytes))
        head_words, all_words = max_head_dim // lanes, self.planes * self.words
        self.job = data.StructLayout({
            "last": self.slot, "before_last": self.slot, "paired": 1, "first_slot": 8, "query_word": 16, "imm": 32,
            "last_plane": range(self.planes), "turn": range(self.planes), "last_scale_beat": range(self.scale_beats),
            "head_words": range(head_words + 1), "all_words": range(all_words + 1),
        })
        flags = ("first", "last", "second", "start", "final", "split", "closing", "scan", "scan_second")
        self.step = data.StructLayout({"valid": 1, "slot": self.slot, **dict.fromkeys(flags, unsigned(1))})
