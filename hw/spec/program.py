"""The program format: descriptors that one doorbell runs, and the row records of a pass.

All addresses in descriptors are byte offsets from the base registers of `terntable.hw.spec.registers`.
"""

from enum import IntEnum, IntFlag

import numpy as np

__all__ = ["DESCRIPTOR", "DESCRIPTOR_BYTES", "FETCH_DESCRIPTORS", "OF_SHORTLIST", "RESULT", "ROW", "ROW_BYTES", "Buffer", "Fault",
           "Op", "RowFlag", "ScalarKind", "ScaleOf", "VecMode"]


class Op(IntEnum):
    """Descriptor opcodes; which fields each reads is in docs/program.md."""

    END = 0
    EMBED = 1
    ROPE = 2
    VEC = 3
    SCALAR = 4
    MATMUL = 5
    KV_STORE = 6
    ATTENTION = 7
    HEAD = 8
    MOVE = 9
    SHORTLIST = 10


#: Field `a` of a MATMUL with the shortlist's matrix, and of a HEAD that takes the shortlist's candidates; 0 in all others.
OF_SHORTLIST = 1


class VecMode(IntEnum):
    """What the lanes compute; twins in `terntable.models.golden.lanes`."""

    NORM = 0
    QUANT = 1
    CONVERT = 2
    ROPE = 3
    ADD = 4
    GLU_RELU2 = 5
    GLU_SILU = 6


class ScalarKind(IntEnum):
    """What the per-row scalar units compute; twin in `terntable.models.golden.scalar`."""

    NORM = 0
    QUANT = 1


class ScaleOf(IntEnum):
    """What QUANT's row maximum is still to be multiplied by (field `b` of the descriptor)."""

    ONE = 0
    INV = 1
    FACTOR = 2


class Buffer(IntEnum):
    """On-chip buffers that a vector descriptor reads or writes; PARTIAL is a queue of finished sums."""

    X = 0
    Y = 1
    PARTIAL = 2
    ACT = 3
    QUERY = 4
    KEY = 5
    VALUE = 6
    HEAD = 7


class RowFlag(IntFlag):
    """Bits of a row record's `flags`. KEEP leaves X as it was and is stronger than VECTOR."""

    VECTOR = 1
    TOP_K = 2
    LOGITS = 4
    KEEP = 8


class Fault(IntEnum):
    """Cause codes of a stopped pass."""

    NONE = 0
    READ_ERROR = 1
    WRITE_ERROR = 2
    BAD_DESCRIPTOR = 3
    WATCHDOG = 4
    NUMERIC = 5
    BAD_WEIGHT = 6
    BAD_ROW = 7


DESCRIPTOR = np.dtype([("op", "u1"), ("a", "u1"), ("b", "u1"), ("c", "u1"), ("length", "<u4"), ("offset", "<u4"),
                       ("offset2", "<u4"), ("imm", "<f4"), ("imm2", "<f4"), ("address", "<u4"), ("address2", "<u4")])
DESCRIPTOR_BYTES = DESCRIPTOR.itemsize
#: Descriptors are fetched in aligned blocks of this many; a program is padded with END to whole blocks.
FETCH_DESCRIPTORS = 16

ROW = np.dtype([("token", "<u4"), ("flags", "<u4"), ("position", "<u4"), ("slot", "<u4"), ("prefix", "<u4"),
                ("sequence", "<u4"), ("mask", "<u8"), ("vector", "<u8"), ("unused", "<u8", 3)])
ROW_BYTES = ROW.itemsize

#: One candidate of a row's top-k result, best first; unused entries hold index 0xFFFFFFFF.
RESULT = np.dtype([("index", "<u4"), ("logit", "<f4")])
