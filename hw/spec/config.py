"""What an instance of the accelerator is: its parallelism, its largest sizes, its clock."""

from dataclasses import dataclass, fields, replace

__all__ = ["LOOKUP_TRITS", "PRESETS", "WORD_BEATS", "HardwareConfig", "preset"]

#: Trits of a table lookup.
LOOKUP_TRITS = 3

#: Wide beats in a word of the weight stream: the engine takes 3 words in 5 cycles, 1.2 times what the ports deliver.
WORD_BEATS = 2

_POWERS = (("beat_bytes", 8), ("ports", 1), ("lanes", 2), ("outputs", 2), ("stripe_bytes", 8), ("data_stripe_bytes", 8),
           ("burst_beats", 1))


@dataclass(frozen=True, kw_only=True)
class HardwareConfig:
    """Parameters of one instance; every unit takes its sizes from here.

    Attributes
    ----------
    rows : token rows of a pass (M).
    beat_bytes : bytes that all memory ports deliver in a cycle together, a wide beat (B); a power of two, at least 8.
    ports : AXI read ports that share a wide beat: 1, 2 or 4.
    stripe_bytes : the weight stream is read through the ports in turn, this many bytes each; at least a burst. As much as a
        bank of the DRAM holds of a row keeps each port in a bank of its own.
    data_stripe_bytes : the same for all other reads, which are short; at least a burst.
    burst_beats : longest AXI burst, in beats of one port; a power of two, at most 256, and at most 4096 bytes.
    lanes : columns that the element-wise path handles per cycle (E); a power of two, at least 2, since rotary embedding
        works on adjacent pairs.
    outputs : outputs of the ternary engine per cycle (R); a power of two that divides 2 x beat_bytes.
    block_outputs : outputs that the engine sums up before it goes on to the next ones (NB), a multiple of `outputs`.
    partial_columns : finished sums that wait for the element-wise path, a multiple of `outputs`.
    glu_units : gate activations computed at a time; a row's gate takes one of them for a cycle.
    max_hidden, max_intermediate, max_heads, max_kv_heads, max_head_dim, max_context, max_vocab :
        largest model and KV slots that the buffers hold.
    max_query, max_qkv : query columns with their padding; query, key and value columns together.
    top_k : candidates that the head returns for each row.
    ring_words : depth of the weight prefetch ring, in words of two wide beats.
    data_beats : depth of the buffer behind all other reads, in wide beats.
    clock_hz : the clock that cycle counts are converted with; assumed, never measured on a board.

    """

    name: str
    rows: int = 8
    beat_bytes: int = 8
    ports: int = 1
    stripe_bytes: int = 512
    data_stripe_bytes: int = 512
    burst_beats: int = 64
    lanes: int = 2
    outputs: int = 4
    block_outputs: int = 128
    partial_columns: int = 512
    glu_units: int = 2
    max_hidden: int = 256
    max_intermediate: int = 768
    max_heads: int = 4
    max_kv_heads: int = 2
    max_head_dim: int = 64
    max_context: int = 512
    max_vocab: int = 2048
    max_query: int = 256
    max_qkv: int = 512
    top_k: int = 8
    ring_words: int = 256
    data_beats: int = 256
    clock_hz: int = 250_000_000

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "name" and (type(value) is not int or value < 1):
                raise ValueError(f"{field.name} must be a positive integer, not {value!r}")
        for name, low in _POWERS:
            value = getattr(self, name)
            if value < low or value & (value - 1):
                raise ValueError(f"{name} must be a power of two of at least {low}, not {value}")
        if self.ports > 4 or self.port_bytes < 8:
            raise ValueError(f"ports must be at most {min(4, self.beat_bytes // 8)}, of 8 bytes each or more, not {self.ports}")
        if self.beat_bytes % (4 * self.lanes):
            raise ValueError(f"beat_bytes must be a multiple of 4 x lanes = {4 * self.lanes}, not {self.beat_bytes}")
        if self.outputs > self.word_bytes:
            raise ValueError(f"outputs must be at most 2 x beat_bytes = {self.word_bytes}, not {self.outputs}")
        for name in ("block_outputs", "partial_columns"):
            if getattr(self, name) % self.outputs:
                raise ValueError(f"{name} must be a multiple of outputs = {self.outputs}, not {getattr(self, name)}")
        if self.rows > 64:
            raise ValueError(f"rows must be at most 64, the width of the ancestor mask, not {self.rows}")
        if self.burst_beats > 256 or self.burst_beats * self.port_bytes > 4096:
            raise ValueError(f"burst_beats must be at most {min(256, 4096 // self.port_bytes)}, not {self.burst_beats}")
        for name in ("stripe_bytes", "data_stripe_bytes"):
            if self.ports > 1 and getattr(self, name) < self.burst_bytes:
                raise ValueError(f"{name} must be at least a burst = {self.burst_bytes}, not {getattr(self, name)}")
        if not 1 <= self.top_k <= 16:
            raise ValueError(f"top_k must be 1 to 16, not {self.top_k}")

    @property
    def port_bytes(self) -> int:
        """Bytes of a beat of one port."""
        return self.beat_bytes // self.ports

    @property
    def burst_bytes(self) -> int:
        """Bytes of the longest burst."""
        return self.burst_beats * self.port_bytes

    @property
    def word_bytes(self) -> int:
        """Bytes of a word of the weight stream (W), and lookups of a token row per cycle."""
        return WORD_BEATS * self.beat_bytes

    @property
    def groups(self) -> int:
        """Lookups that share an output (T)."""
        return self.word_bytes // self.outputs

    @property
    def tile_inputs(self) -> int:
        """Input columns that one tile of cells covers (3T)."""
        return LOOKUP_TRITS * self.groups

    @property
    def max_activations(self) -> int:
        """Columns of the longest activation vector."""
        return max(self.max_hidden, self.max_intermediate)

    @property
    def max_outputs(self) -> int:
        """Columns of the widest matrix product: gate and up together, or query, key and value together."""
        return max(2 * self.max_intermediate, self.max_qkv, self.max_hidden)


#: The XCK26 of a Kria KV260 with its four 128-bit high-performance ports.
_KV260 = HardwareConfig(
    name="kv260", rows=8, beat_bytes=64, ports=4, stripe_bytes=16384, data_stripe_bytes=512, burst_beats=32, lanes=2, outputs=8,
    block_outputs=512, partial_columns=4096, glu_units=2, max_hidden=2560, max_intermediate=6912, max_heads=20, max_kv_heads=16,
    max_head_dim=128, max_context=2048, max_vocab=128256, max_query=2560, max_qkv=4608, top_k=8, ring_words=12288, data_beats=512)

#: `tiny` runs the shipped model in simulation; `nano` is an odd little instance for quick whole-machine tests; the others are
#: sized for parts of hw/spec/parts.py.
PRESETS = {
    config.name: config
    for config in (
        HardwareConfig(name="tiny"),
        HardwareConfig(
            name="nano", rows=3, beat_bytes=16, ports=2, stripe_bytes=256, data_stripe_bytes=128, burst_beats=16, lanes=2,
            outputs=4, block_outputs=16, partial_columns=32, glu_units=1, max_hidden=48, max_intermediate=80, max_heads=4,
            max_kv_heads=4,
            max_head_dim=24, max_context=64, max_vocab=128, max_query=128, max_qkv=160, top_k=4, ring_words=16, data_beats=16),
        _KV260,
        replace(_KV260, name="zcu104"),
        # Two ports, half the rows and a ring of block RAM.
        replace(_KV260, name="zu3eg", rows=4, beat_bytes=32, ports=2, partial_columns=2048, max_hidden=1536, max_intermediate=4096,
                max_heads=16, max_head_dim=96, max_context=1024, max_vocab=32064, max_query=2048, ring_words=1024, data_beats=512),
        HardwareConfig(name="ecp5", rows=1, glu_units=1, ring_words=512, top_k=4),
    )
}


def preset(name: str) -> HardwareConfig:
    """The preset called `name`; ValueError lists the known ones."""
    if name not in PRESETS:
        raise ValueError(f"Unknown preset {name!r}; known: {', '.join(sorted(PRESETS))}")
    return PRESETS[name]
