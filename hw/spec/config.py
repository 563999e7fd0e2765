"""What an instance of the accelerator is: its parallelism, its largest sizes, its clock."""

from dataclasses import dataclass, fields

from terntable.quant.base3 import TRITS_PER_BYTE

__all__ = ["PRESETS", "HardwareConfig", "preset"]


@dataclass(frozen=True, kw_only=True)
class HardwareConfig:
    """Parameters of one instance; every unit takes its sizes from here.

    Attributes
    ----------
    rows : token rows of a pass (M).
    beat_bytes : bytes of one data beat on the memory ports (B), a power of two, at least 8.
    lanes : columns that the element-wise path handles per cycle, and outputs of one weight beat (E);
        a power of two, at least 2 because rotary embedding works on adjacent pairs.
    max_hidden, max_intermediate, max_heads, max_kv_heads, max_head_dim, max_context, max_vocab :
        largest model and KV slots that the buffers hold.
    max_group, max_qkv : query heads of a key-value head; query, key and value columns together.
    top_k : candidates that the head returns for each row.
    ring_beats : depth of the weight prefetch ring, in beats.
    burst_beats : longest AXI burst, in beats; a power of two, at most 256, and at most 4096 bytes.
    clock_hz : the clock that cycle counts are converted with; assumed, never measured on a board.

    """

    name: str
    rows: int = 8
    beat_bytes: int = 8
    lanes: int = 2
    max_hidden: int = 256
    max_intermediate: int = 768
    max_heads: int = 4
    max_kv_heads: int = 2
    max_group: int = 2
    max_head_dim: int = 64
    max_context: int = 512
    max_vocab: int = 2048
    max_qkv: int = 512
    top_k: int = 8
    ring_beats: int = 512
    burst_beats: int = 64
    clock_hz: int = 250_000_000

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "name" and (type(value) is not int or value < 1):
                raise ValueError(f"{field.name} must be a positive integer, not {value!r}")
        for name, low in (("beat_bytes", 8), ("lanes", 2), ("burst_beats", 1)):
            value = getattr(self, name)
            if value < low or value & (value - 1):
                raise ValueError(f"{name} must be a power of two of at least {low}, not {value}")
        if self.beat_bytes % (4 * self.lanes):
            raise ValueError(f"beat_bytes must be a multiple of 4 x lanes = {4 * self.lanes}, not {self.beat_bytes}")
        if self.rows > 64:
            raise ValueError(f"rows must be at most 64, the width of the ancestor mask, not {self.rows}")
        if self.burst_beats > 256 or self.burst_beats * self.beat_bytes > 4096:
            raise ValueError(f"burst_beats must be at most {min(256, 4096 // self.beat_bytes)}, not {self.burst_beats}")
        if not 1 <= self.top_k <= 16:
            raise ValueError(f"top_k must be 1 to 16, not {self.top_k}")

    @property
    def groups(self) -> int:
        """Weight bytes of one output in a beat (T)."""
        return self.beat_bytes // self.lanes

    @property
    def tile_inputs(self) -> int:
        """Input columns that one tile of weight beats covers."""
        return TRITS_PER_BYTE * self.groups

    @property
    def max_activations(self) -> int:
        """Columns of the longest activation vector."""
        return max(self.max_hidden, self.max_intermediate)

    @property
    def max_outputs(self) -> int:
        """Columns of the widest matrix product: gate and up together, or query, key and value together."""
        return max(2 * self.max_intermediate, self.max_qkv, self.max_hidden)


#: `tiny` runs the shipped model in simulation; `nano` is an odd little instance for quick whole-machine tests.
PRESETS = {
    config.name: config
    for config in (
        HardwareConfig(name="tiny"),
        HardwareConfig(name="nano", rows=3, beat_bytes=16, lanes=2, max_hidden=48, max_intermediate=80, max_heads=4,
                       max_kv_heads=2, max_group=3, max_head_dim=16, max_context=64, max_vocab=128, max_qkv=96, top_k=4,
                       ring_beats=32, burst_beats=16),
    )
}


def preset(name: str) -> HardwareConfig:
    """The preset called `name`; ValueError lists the known ones."""
    if name not in PRESETS:
        raise ValueError(f"Unknown preset {name!r}; known: {', '.join(sorted(PRESETS))}")
    return PRESETS[name]
