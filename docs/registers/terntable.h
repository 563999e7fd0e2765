/* Control registers of the accelerator. Written by `make registers` from hw/spec/registers.py. */
#ifndef TERNTABLE_REGISTERS_H
#define TERNTABLE_REGISTERS_H

/* Where the board projects put them, and how many bytes. */
#define TERNTABLE_BASE 0xa0000000u
#define TERNTABLE_RANGE 0x1000u

/* What registers that never change read. */
#define TERNTABLE_IDENT_VALUE 0x5445524eu
#define TERNTABLE_VERSION_VALUE 0x4u

/* wo: bit 0 starts a pass, bit 1 resets the datapath and clears status and fault */
#define TERNTABLE_CONTROL_OFFSET 0x000u
#define TERNTABLE_CONTROL_START_SHIFT 0u
#define TERNTABLE_CONTROL_START_MASK 0x00000001u /* starts a pass */
#define TERNTABLE_CONTROL_RESET_SHIFT 1u
#define TERNTABLE_CONTROL_RESET_MASK 0x00000002u /* resets the datapath and clears status and fault */

/* ro: bit 0 busy, bit 1 done, bit 2 error; done and error stay until the next start or reset */
#define TERNTABLE_STATUS_OFFSET 0x004u
#define TERNTABLE_STATUS_BUSY_SHIFT 0u
#define TERNTABLE_STATUS_BUSY_MASK 0x00000001u /* a pass or a reset runs */
#define TERNTABLE_STATUS_DONE_SHIFT 1u
#define TERNTABLE_STATUS_DONE_MASK 0x00000002u /* the last pass came to its end */
#define TERNTABLE_STATUS_ERROR_SHIFT 2u
#define TERNTABLE_STATUS_ERROR_MASK 0x00000004u /* the last pass was stopped */

/* rw: bit 0 raises the interrupt line while done or error is set */
#define TERNTABLE_INTERRUPT_ENABLE_OFFSET 0x008u
#define TERNTABLE_INTERRUPT_ENABLE_ENABLE_SHIFT 0u
#define TERNTABLE_INTERRUPT_ENABLE_ENABLE_MASK 0x00000001u /* raises the interrupt line while done or error is set */

/* ro: constant */
#define TERNTABLE_IDENT_OFFSET 0x00cu

/* ro: register and program format version */
#define TERNTABLE_VERSION_OFFSET 0x010u

/* ro: cause code of a stopped pass */
#define TERNTABLE_FAULT_CAUSE_OFFSET 0x014u
#define TERNTABLE_FAULT_CAUSE_CAUSE_SHIFT 0u
#define TERNTABLE_FAULT_CAUSE_CAUSE_MASK 0x000000ffu /* why the last pass was stopped */
#define TERNTABLE_FAULT_CAUSE_CAUSE_NONE 0u
#define TERNTABLE_FAULT_CAUSE_CAUSE_READ_ERROR 1u /* a read was answered with an error */
#define TERNTABLE_FAULT_CAUSE_CAUSE_WRITE_ERROR 2u /* a write was answered with an error */
#define TERNTABLE_FAULT_CAUSE_CAUSE_BAD_DESCRIPTOR 3u /* the descriptor is malformed */
#define TERNTABLE_FAULT_CAUSE_CAUSE_WATCHDOG 4u /* it took longer than the watchdog allows */
#define TERNTABLE_FAULT_CAUSE_CAUSE_NUMERIC 5u /* a value was not a finite number */
#define TERNTABLE_FAULT_CAUSE_CAUSE_BAD_WEIGHT 6u /* a weight byte does not hold five trits */
#define TERNTABLE_FAULT_CAUSE_CAUSE_BAD_ROW 7u /* a row record is malformed */

/* ro: index of the descriptor that stopped */
#define TERNTABLE_FAULT_INDEX_OFFSET 0x018u

/* rw: row records of the pass, 1 to M (moves of a move program) */
#define TERNTABLE_ROWS_OFFSET 0x01cu

/* rw: cycles that one descriptor may take before the pass is stopped; 0 is off */
#define TERNTABLE_WATCHDOG_OFFSET 0x020u

/* rw: words of the weight stream up to the head, two wide beats each */
#define TERNTABLE_STREAM_WORDS_OFFSET 0x024u

/* rw: words of the head, read after them when a row wants an output */
#define TERNTABLE_HEAD_WORDS_OFFSET 0x028u

/* rw: words of the shortlist's matrix, read instead of the head's; 0 keeps to the exact head */
#define TERNTABLE_SHORTLIST_WORDS_OFFSET 0x02cu

/* ro: rows | beat_bytes << 8 | lanes << 16 | top_k << 24 */
#define TERNTABLE_GEOMETRY_OFFSET 0x030u
#define TERNTABLE_GEOMETRY_ROWS_SHIFT 0u
#define TERNTABLE_GEOMETRY_ROWS_MASK 0x000000ffu /* rows of the instance */
#define TERNTABLE_GEOMETRY_BEAT_BYTES_SHIFT 8u
#define TERNTABLE_GEOMETRY_BEAT_BYTES_MASK 0x0000ff00u /* beat_bytes of the instance */
#define TERNTABLE_GEOMETRY_LANES_SHIFT 16u
#define TERNTABLE_GEOMETRY_LANES_MASK 0x00ff0000u /* lanes of the instance */
#define TERNTABLE_GEOMETRY_TOP_K_SHIFT 24u
#define TERNTABLE_GEOMETRY_TOP_K_MASK 0xff000000u /* top_k of the instance */

/* ro: ports | outputs << 8 | block_outputs << 16 */
#define TERNTABLE_GEOMETRY2_OFFSET 0x034u
#define TERNTABLE_GEOMETRY2_PORTS_SHIFT 0u
#define TERNTABLE_GEOMETRY2_PORTS_MASK 0x000000ffu /* ports of the instance */
#define TERNTABLE_GEOMETRY2_OUTPUTS_SHIFT 8u
#define TERNTABLE_GEOMETRY2_OUTPUTS_MASK 0x0000ff00u /* outputs of the instance */
#define TERNTABLE_GEOMETRY2_BLOCK_OUTPUTS_SHIFT 16u
#define TERNTABLE_GEOMETRY2_BLOCK_OUTPUTS_MASK 0xffff0000u /* block_outputs of the instance */

/* rw: descriptors, low half */
#define TERNTABLE_PROGRAM_BASE_LOW_OFFSET 0x038u

/* rw: descriptors, high half */
#define TERNTABLE_PROGRAM_BASE_HIGH_OFFSET 0x03cu

/* rw: row records, low half */
#define TERNTABLE_ROWS_BASE_LOW_OFFSET 0x040u

/* rw: row records, high half */
#define TERNTABLE_ROWS_BASE_HIGH_OFFSET 0x044u

/* rw: weight stream, in the order of use, low half */
#define TERNTABLE_STREAM_BASE_LOW_OFFSET 0x048u

/* rw: weight stream, in the order of use, high half */
#define TERNTABLE_STREAM_BASE_HIGH_OFFSET 0x04cu

/* rw: the shortlist's matrix, with its scales behind it, low half */
#define TERNTABLE_SHORTLIST_BASE_LOW_OFFSET 0x050u

/* rw: the shortlist's matrix, with its scales behind it, high half */
#define TERNTABLE_SHORTLIST_BASE_HIGH_OFFSET 0x054u

/* rw: embedding table, low half */
#define TERNTABLE_EMBED_BASE_LOW_OFFSET 0x058u

/* rw: embedding table, high half */
#define TERNTABLE_EMBED_BASE_HIGH_OFFSET 0x05cu

/* rw: cosine and sine table, low half */
#define TERNTABLE_ROPE_BASE_LOW_OFFSET 0x060u

/* rw: cosine and sine table, high half */
#define TERNTABLE_ROPE_BASE_HIGH_OFFSET 0x064u

/* rw: KV cache of the sequence, low half */
#define TERNTABLE_KV_BASE_LOW_OFFSET 0x068u

/* rw: KV cache of the sequence, high half */
#define TERNTABLE_KV_BASE_HIGH_OFFSET 0x06cu

/* rw: top-k results, one record of top_k candidates a row, low half */
#define TERNTABLE_RESULT_BASE_LOW_OFFSET 0x070u

/* rw: top-k results, one record of top_k candidates a row, high half */
#define TERNTABLE_RESULT_BASE_HIGH_OFFSET 0x074u

/* rw: full logits, one row of padded vocabulary a row, low half */
#define TERNTABLE_LOGITS_BASE_LOW_OFFSET 0x078u

/* rw: full logits, one row of padded vocabulary a row, high half */
#define TERNTABLE_LOGITS_BASE_HIGH_OFFSET 0x07cu

/* ro: cycles, doorbell to done, low half */
#define TERNTABLE_CYCLES_LOW_OFFSET 0x080u

/* ro: cycles, doorbell to done, high half */
#define TERNTABLE_CYCLES_HIGH_OFFSET 0x084u

/* ro: descriptors completed, low half */
#define TERNTABLE_DESCRIPTORS_LOW_OFFSET 0x088u

/* ro: descriptors completed, high half */
#define TERNTABLE_DESCRIPTORS_HIGH_OFFSET 0x08cu

/* ro: bytes of the weight stream, low half */
#define TERNTABLE_STREAM_BYTES_LOW_OFFSET 0x090u

/* ro: bytes of the weight stream, high half */
#define TERNTABLE_STREAM_BYTES_HIGH_OFFSET 0x094u

/* ro: bytes of all other reads, low half */
#define TERNTABLE_READ_BYTES_LOW_OFFSET 0x098u

/* ro: bytes of all other reads, high half */
#define TERNTABLE_READ_BYTES_HIGH_OFFSET 0x09cu

/* ro: bytes written, low half */
#define TERNTABLE_WRITE_BYTES_LOW_OFFSET 0x0a0u

/* ro: bytes written, high half */
#define TERNTABLE_WRITE_BYTES_HIGH_OFFSET 0x0a4u

/* ro: bytes read on port 0, low half */
#define TERNTABLE_PORT0_BYTES_LOW_OFFSET 0x0a8u

/* ro: bytes read on port 0, high half */
#define TERNTABLE_PORT0_BYTES_HIGH_OFFSET 0x0acu

/* ro: bytes read on port 1, low half */
#define TERNTABLE_PORT1_BYTES_LOW_OFFSET 0x0b0u

/* ro: bytes read on port 1, high half */
#define TERNTABLE_PORT1_BYTES_HIGH_OFFSET 0x0b4u

/* ro: bytes read on port 2, low half */
#define TERNTABLE_PORT2_BYTES_LOW_OFFSET 0x0b8u

/* ro: bytes read on port 2, high half */
#define TERNTABLE_PORT2_BYTES_HIGH_OFFSET 0x0bcu

/* ro: bytes read on port 3, low half */
#define TERNTABLE_PORT3_BYTES_LOW_OFFSET 0x0c0u

/* ro: bytes read on port 3, high half */
#define TERNTABLE_PORT3_BYTES_HIGH_OFFSET 0x0c4u

/* ro: cycles in which the ternary engine had a matrix, low half */
#define TERNTABLE_MATMUL_CYCLES_LOW_OFFSET 0x0c8u

/* ro: cycles in which the ternary engine had a matrix, high half */
#define TERNTABLE_MATMUL_CYCLES_HIGH_OFFSET 0x0ccu

/* ro: cycles in which a VEC descriptor ran, low half */
#define TERNTABLE_VECTOR_CYCLES_LOW_OFFSET 0x0d0u

/* ro: cycles in which a VEC descriptor ran, high half */
#define TERNTABLE_VECTOR_CYCLES_HIGH_OFFSET 0x0d4u

/* ro: cycles in which a SCALAR descriptor ran, low half */
#define TERNTABLE_SCALAR_CYCLES_LOW_OFFSET 0x0d8u

/* ro: cycles in which a SCALAR descriptor ran, high half */
#define TERNTABLE_SCALAR_CYCLES_HIGH_OFFSET 0x0dcu

/* ro: cycles in which an ATTENTION descriptor ran, low half */
#define TERNTABLE_ATTENTION_CYCLES_LOW_OFFSET 0x0e0u

/* ro: cycles in which an ATTENTION descriptor ran, high half */
#define TERNTABLE_ATTENTION_CYCLES_HIGH_OFFSET 0x0e4u

/* ro: cycles in which a KV_STORE or MOVE descriptor ran, low half */
#define TERNTABLE_STORE_CYCLES_LOW_OFFSET 0x0e8u

/* ro: cycles in which a KV_STORE or MOVE descriptor ran, high half */
#define TERNTABLE_STORE_CYCLES_HIGH_OFFSET 0x0ecu

/* ro: cycles in which an EMBED or ROPE descriptor ran, low half */
#define TERNTABLE_LOAD_CYCLES_LOW_OFFSET 0x0f0u

/* ro: cycles in which an EMBED or ROPE descriptor ran, high half */
#define TERNTABLE_LOAD_CYCLES_HIGH_OFFSET 0x0f4u

/* ro: cycles in which a HEAD or SHORTLIST descriptor ran, low half */
#define TERNTABLE_HEAD_CYCLES_LOW_OFFSET 0x0f8u

/* ro: cycles in which a HEAD or SHORTLIST descriptor ran, high half */
#define TERNTABLE_HEAD_CYCLES_HIGH_OFFSET 0x0fcu

/* ro: cycles in which the next descriptor waited for the ternary engine, low half */
#define TERNTABLE_ENGINE_WAIT_CYCLES_LOW_OFFSET 0x100u

/* ro: cycles in which the next descriptor waited for the ternary engine, high half */
#define TERNTABLE_ENGINE_WAIT_CYCLES_HIGH_OFFSET 0x104u

/* ro: cycles in which a unit waited for the weight stream, low half */
#define TERNTABLE_WORD_STALLS_LOW_OFFSET 0x108u

/* ro: cycles in which a unit waited for the weight stream, high half */
#define TERNTABLE_WORD_STALLS_HIGH_OFFSET 0x10cu

/* ro: cycles in which the ternary engine waited for its tables, low half */
#define TERNTABLE_TABLE_STALLS_LOW_OFFSET 0x110u

/* ro: cycles in which the ternary engine waited for its tables, high half */
#define TERNTABLE_TABLE_STALLS_HIGH_OFFSET 0x114u

/* ro: cycles in which the ternary engine waited for room in the queue of sums, low half */
#define TERNTABLE_OUTPUT_STALLS_LOW_OFFSET 0x118u

/* ro: cycles in which the ternary engine waited for room in the queue of sums, high half */
#define TERNTABLE_OUTPUT_STALLS_HIGH_OFFSET 0x11cu

/* ro: cycles in which a VEC descriptor waited for sums, low half */
#define TERNTABLE_PARTIAL_STALLS_LOW_OFFSET 0x120u

/* ro: cycles in which a VEC descriptor waited for sums, high half */
#define TERNTABLE_PARTIAL_STALLS_HIGH_OFFSET 0x124u

/* ro: cycles in which attention, or the two-stage head, waited for data, low half */
#define TERNTABLE_DATA_STALLS_LOW_OFFSET 0x128u

/* ro: cycles in which attention, or the two-stage head, waited for data, high half */
#define TERNTABLE_DATA_STALLS_HIGH_OFFSET 0x12cu

/* ro: cycles in which the weight stream stood still because the ring was full, low half */
#define TERNTABLE_RING_FULL_CYCLES_LOW_OFFSET 0x130u

/* ro: cycles in which the weight stream stood still because the ring was full, high half */
#define TERNTABLE_RING_FULL_CYCLES_HIGH_OFFSET 0x134u

#endif
