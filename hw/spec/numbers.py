"""Constants of the arithmetic that the golden model and the hardware share.

Floats are IEEE binary32. A result whose exact value is below 2**-126 is flushed to zero; `INVALID` stands for
every NaN, infinity and overflow, and stops the pass when it reaches a buffer.
"""

__all__ = ["ABSMAX_FLOOR", "ACC_BITS", "EXP_FRACTION_BITS", "EXP_INPUT_BITS", "EXP_ONE", "HEAD_ACT_BITS", "HEAD_LIMIT",
           "INT8_LIMIT", "INVALID", "LOG2E", "PARTIALS"]

#: The one bit pattern for not-a-number, infinity and overflow.
INVALID = 0x7FC00000

#: Partial sums of a sum of squares: column c is added to partial c mod PARTIALS, then halves are folded.
PARTIALS = 32

#: Smallest absolute maximum that a quantisation scale is made from (BitNet's clamp).
ABSMAX_FLOOR = 1e-5
INT8_LIMIT = 127.0
#: The head's input keeps 16 bits, since BitNet does not quantise it.
HEAD_LIMIT = 32767.0
HEAD_ACT_BITS = 16

#: Width of the integer sums of attention and head.
ACC_BITS = 48

#: exp2: argument with 16 fraction bits, 21 bits in all; result 65536 stands for one.
EXP_FRACTION_BITS = 16
EXP_INPUT_BITS = 21
EXP_ONE = 65536
LOG2E = 1.4426950408889634
