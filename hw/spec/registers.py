"""The control registers: one table that the hardware, the host and the documents read."""

from dataclasses import dataclass

from terntable.hw.spec.config import HardwareConfig

__all__ = ["ADDRESS_BITS", "CONTROL_START", "CONTROL_RESET", "COUNTERS", "IDENT", "REGISTERS", "STATUS_BUSY", "STATUS_DONE",
           "STATUS_ERROR", "VERSION", "Register", "geometry_of"]

#: "TERN", read back from IDENT.
IDENT = 0x5445524E
#: Raised when registers, descriptors or layouts change.
VERSION = 4

CONTROL_START = 1
CONTROL_RESET = 2

STATUS_BUSY = 1
STATUS_DONE = 2
STATUS_ERROR = 4

ADDRESS_BITS = 12


#: Counters of the last pass, 64 bits each, by name. Several units run at a time, so their cycles add up to more than all.
COUNTERS = {
    "cycles": "cycles, doorbell to done",
    "descriptors": "descriptors completed",
    "stream_bytes": "bytes of the weight stream",
    "read_bytes": "bytes of all other reads",
    "write_bytes": "bytes written",
    **{f"port{n}_bytes": f"bytes read on port {n}" for n in range(4)},
    "matmul_cycles": "cycles in which the ternary engine had a matrix",
    "vector_cycles": "cycles in which a VEC descriptor ran",
    "scalar_cycles": "cycles in which a SCALAR descriptor ran",
    "attention_cycles": "cycles in which an ATTENTION descriptor ran",
    "store_cycles": "cycles in which a KV_STORE or MOVE descriptor ran",
    "load_cycles": "cycles in which an EMBED or ROPE descriptor ran",
    "head_cycles": "cycles in which a HEAD or SHORTLIST descriptor ran",
    "engine_wait_cycles": "cycles in which the next descriptor waited for the ternary engine",
    "word_stalls": "cycles in which a unit waited for the weight stream",
    "table_stalls": "cycles in which the ternary engine waited for its tables",
    "output_stalls": "cycles in which the ternary engine waited for room in the queue of sums",
    "partial_stalls": "cycles in which a VEC descriptor waited for sums",
    "data_stalls": "cycles in which attention, or the two-stage head, waited for data",
    "ring_full_cycles": "cycles in which the weight stream stood still because the ring was full",
}


@dataclass(frozen=True)
class Register:
    """One register: `width` 32 or 64 bits (64-bit ones take two words, low first); access is "rw" or "ro"."""

    name: str
    offset: int
    width: int
    access: str
    text: str


def geometry_of(config: HardwareConfig) -> dict[str, int]:
    """What the geometry registers of an instance read, by name."""
    return {"geometry": config.rows | config.beat_bytes << 8 | config.lanes << 16 | config.top_k << 24,
            "geometry2": config.ports | config.outputs << 8 | config.block_outputs << 16}


def _table() -> tuple[Register, ...]:
    rows = [
        ("control", 32, "rw", "bit 0 starts a pass, bit 1 resets the datapath and clears status and fault"),
        ("status", 32, "ro", "bit 0 busy, bit 1 done, bit 2 error; done and error stay until the next start or reset"),
        ("interrupt_enable", 32, "rw", "bit 0 raises the interrupt line while done or error is set"),
        ("ident", 32, "ro", "constant"),
        ("version", 32, "ro", "register and program format version"),
        ("fault_cause", 32, "ro", "cause code of a stopped pass"),
        ("fault_index", 32, "ro", "index of the descriptor that stopped"),
        ("rows", 32, "rw", "row records of the pass, 1 to M (moves of a move program)"),
        ("watchdog", 32, "rw", "cycles that one descriptor may take before the pass is stopped; 0 is off"),
        ("stream_words", 32, "rw", "words of the weight stream up to the head, two wide beats each"),
        ("head_words", 32, "rw", "words of the head, read after them when a row wants an output"),
        ("shortlist_words", 32, "rw", "words of the shortlist's matrix, read instead of the head's; 0 keeps to the exact head"),
        ("geometry", 32, "ro", "rows | beat_bytes << 8 | lanes << 16 | top_k << 24"),
        ("geometry2", 32, "ro", "ports | outputs << 8 | block_outputs << 16"),
        ("program_base", 64, "rw", "descriptors"),
        ("rows_base", 64, "rw", "row records"),
        ("stream_base", 64, "rw", "weight stream, in the order of use"),
        ("shortlist_base", 64, "rw", "the shortlist's matrix, with its scales behind it"),
        ("embed_base", 64, "rw", "embedding table"),
        ("rope_base", 64, "rw", "cosine and sine table"),
        ("kv_base", 64, "rw", "KV cache of the sequence"),
        ("result_base", 64, "rw", "top-k results, one record of top_k candidates a row"),
        ("logits_base", 64, "rw", "full logits, one row of padded vocabulary a row"),
        *((name, 64, "ro", text) for name, text in COUNTERS.items()),
    ]
    table, offset = [], 0
    for name, width, access, text in rows:
        offset = -(-offset * 8 // width) * width // 8
        table.append(Register(name, offset, width, access, text))
        offset += width // 8
    return tuple(table)


REGISTERS = _table()
