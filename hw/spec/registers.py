"""The control registers: one table that the hardware, the host and the documents read."""

from dataclasses import dataclass

__all__ = ["ADDRESS_BITS", "CONTROL_START", "CONTROL_RESET", "IDENT", "REGISTERS", "STATUS_BUSY", "STATUS_DONE",
           "STATUS_ERROR", "VERSION", "Register"]

#: "TERN", read back from IDENT.
IDENT = 0x5445524E
#: Raised when registers, descriptors or layouts change.
VERSION = 1

CONTROL_START = 1
CONTROL_RESET = 2

STATUS_BUSY = 1
STATUS_DONE = 2
STATUS_ERROR = 4

ADDRESS_BITS = 12


@dataclass(frozen=True)
class Register:
    """One register: `width` 32 or 64 bits (64-bit ones take two words, low first); access is "rw" or "ro"."""

    name: str
    offset: int
    width: int
    access: str
    text: str


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
        ("stream_beats", 32, "rw", "beats of the weight stream up to the head"),
        ("head_beats", 32, "rw", "beats of the head, read after them when a row wants an output"),
        ("geometry", 32, "ro", "rows | beat_bytes << 8 | lanes << 16 | top_k << 24"),
        ("program_base", 64, "rw", "descriptors"),
        ("rows_base", 64, "rw", "row records"),
        ("stream_base", 64, "rw", "weight stream, in the order of use"),
        ("embed_base", 64, "rw", "embedding table"),
        ("rope_base", 64, "rw", "cosine and sine table"),
        ("kv_base", 64, "rw", "KV cache of the sequence"),
        ("result_base", 64, "rw", "top-k results, one record of top_k candidates a row"),
        ("logits_base", 64, "rw", "full logits, one row of padded vocabulary a row"),
        ("cycles", 64, "ro", "cycles of the last pass, doorbell to done"),
        ("stream_bytes", 64, "ro", "bytes read on the weight port in the last pass"),
        ("read_bytes", 64, "ro", "bytes read on the data port in the last pass"),
        ("write_bytes", 64, "ro", "bytes written in the last pass"),
        ("matmul_cycles", 64, "ro", "cycles in which a MATMUL descriptor ran"),
        ("vector_cycles", 64, "ro", "cycles in which a VEC or SCALAR descriptor ran"),
        ("attention_cycles", 64, "ro", "cycles in which an ATTENTION, KV_STORE or MOVE descriptor ran"),
        ("head_cycles", 64, "ro", "cycles in which a HEAD descriptor ran"),
        ("stream_stalls", 64, "ro", "cycles in which a unit waited for the weight stream"),
        ("descriptors", 64, "ro", "descriptors completed in the last pass"),
    ]
    table, offset = [], 0
    for name, width, access, text in rows:
        offset = -(-offset * 8 // width) * width // 8
        table.append(Register(name, offset, width, access, text))
        offset += width // 8
    return tuple(table)


REGISTERS = _table()
