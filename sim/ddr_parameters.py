"""Parameters of the DDR model: the memory of a Kria KV260 as it boots, each number with where it comes from.

Sources
-------
registers : values that the boot code of the K26 module writes to the DDR controller, as published in U-Boot,
    ``board/xilinx/zynqmp/zynqmp-sm-k26-revA/psu_init_gpl.c``; names of registers and fields as in AMD UG1087. The
    controller runs at half the DRAM clock, and its registers count its clocks.
UG1085 : Zynq UltraScale+ Device Technical Reference Manual.
fitted : chosen so that the model meets a few measurements on a board, which tests/sim/measured.py marks as fitted; it
    predicts the others there.
"""

from dataclasses import dataclass, fields, replace
from math import ceil

__all__ = ["DELIVERED", "DDR4_2133", "DDR4_2400", "DdrParameters"]

#: Sizes of the model's queues and tables, see ddr_controller.h and ddr_model.h.
QUEUE, RING, BANKS, LINES = 64, 64, 16, 4

#: Times that a chip has in nanoseconds, so that a faster clock makes more clocks of them.
_ANALOG = ("activate_to_column", "precharge_to_activate", "activate_to_precharge", "activate_to_activate", "four_activates",
           "activates_same_group", "activates", "read_to_precharge", "write_to_precharge", "read_to_write",
           "write_to_read_same_group", "write_to_read", "refresh_time", "read_latency", "request_latency", "response_latency")


@dataclass(frozen=True, kw_only=True)
class DdrParameters:
    """All numbers of the model. Times are in clocks of the controller unless a line says otherwise."""

    # Clocks, in kHz: of the accelerator, and of the controller (1066.67 MHz DRAM clock, DDR4-2133: DPLL registers).
    clock_khz: int = 250_000
    controller_khz: int = 533_333

    # Place of a byte (ADDRMAP1 to 8): four x16 chips with 2 groups of 4 banks and rows of 8 KiB on 64 bits. Address
    # bit 6 is the group, bits 14 and 15 are the bank, bits from 16 on are the row.
    groups: int = 2
    group_bit: int = 6
    banks: int = 4
    bank_bit: int = 14
    row_bit: int = 16

    # DRAM (registers DRAMTMG0 to 9 and RFSHTMG).
    activate_to_column: int = 8             # DRAMTMG4.t_rcd
    precharge_to_activate: int = 9          # DRAMTMG4.t_rp
    activate_to_precharge: int = 18         # DRAMTMG0.t_ras_min
    activate_to_activate: int = 26          # DRAMTMG1.t_rc, same bank
    four_activates: int = 16                # DRAMTMG0.t_faw
    activates_same_group: int = 4           # DRAMTMG4.t_rrd
    activates: int = 3                      # DRAMTMG9.t_rrd_s
    columns_same_group: int = 3             # DRAMTMG4.t_ccd
    columns: int = 2                        # DRAMTMG9.t_ccd_s: 64 bytes in 2 clocks are 17.07 GB/s
    read_to_precharge: int = 4              # DRAMTMG1.rd2pre
    write_to_precharge: int = 17            # DRAMTMG0.wr2pre
    read_to_write: int = 6                  # DRAMTMG2.rd2wr
    write_to_read_same_group: int = 13      # DRAMTMG2.wr2rd
    write_to_read: int = 11                 # DRAMTMG9.wr2rd_s
    refresh_interval: int = 4128            # RFSHTMG.t_rfc_nom_x32 x 32: 7.74 us
    refresh_time: int = 187                 # RFSHTMG.t_rfc_min: 351 ns, all banks

    # Scheduling.
    read_entries: int = 15                  # fitted; SCHED.lpr_num_entries would allow 32
    write_entries: int = 64                 # depth of the controller's write queue (UG1085)
    hit_limit: int = 8                      # PERFLPR1.lpr_xact_run_length, taken as the longest run of hits of a row
    write_starve: int = 64                  # PERFWR1.w_max_starve
    write_run: int = 8                      # PERFWR1.w_xact_run_length
    idle_gap: int = 1                       # SCHED.rdwr_idle_gap

    # The way between ports and controller.
    read_latency: int = 18                  # column command to data on the line: RL of 8 (DRAMTMG2), burst, DDR PHY (fitted)
    request_latency: int = 28               # port to line (fitted with the next one, by their sum)
    response_latency: int = 30              # line to port
    line_of_port: tuple[int, int, int, int] = (0, 1, 1, 2)      # HP1 and HP2 share XPI 4 (UG1085, PL-PS interface specifics)
    line_transfers: int = 16                # fitted: 64-byte reads of a line between controller and data
    line_clocks: int = 4                    # a line has 128 data wires (UG1085): 64 bytes take 4 clocks
    port_pieces: int = 8                    # fitted: pieces of a port on their way
    piece_beats: int = 16                   # bursts inside the processor system are AXI3, at most 16 beats (UG1085)
    write_transfers: int = 32               # 64-byte writes that wait in a port, 2 KiB of data

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "line_of_port" and (type(value) is not int or not 0 < value < 2**31):
                raise ValueError(f"{field.name} must be a positive integer, not {value!r}")
        if len(self.line_of_port) != 4 or not all(0 <= line < LINES for line in self.line_of_port):
            raise ValueError(f"line_of_port must be four numbers below {LINES}, not {self.line_of_port}")
        for name, limit in (("read_entries", QUEUE), ("write_entries", QUEUE), ("line_transfers", RING),
                            ("port_pieces", RING), ("write_transfers", RING)):
            if getattr(self, name) > limit:
                raise ValueError(f"{name} must be at most {limit}, not {getattr(self, name)}")
        for name in ("groups", "banks"):
            if getattr(self, name) & (getattr(self, name) - 1):
                raise ValueError(f"{name} must be a power of two, not {getattr(self, name)}")
        if self.groups * self.banks > BANKS:
            raise ValueError(f"groups x banks must be at most {BANKS}, not {self.groups * self.banks}")

    @property
    def peak(self) -> float:
        """Bytes per second of the DRAM's data wires."""
        return 64 * 1000 * self.controller_khz / self.columns

    def at_rate(self, transfers: int) -> "DdrParameters":
        """The same chips with `transfers` million transfers per second: times in nanoseconds stay, rounded up to clocks."""
        ratio = transfers * 250 / self.controller_khz
        # The clocks of JEDEC's speed grades are rounded, so a hair more than a whole number of clocks is that number.
        return replace(self, controller_khz=transfers * 250, refresh_interval=int(self.refresh_interval * ratio),
                       **{name: ceil(getattr(self, name) * ratio - 0.01) for name in _ANALOG})

    def words(self) -> list[int]:
        """All values in the order of the C++ structure."""
        values: list[int] = []
        for field in fields(self):
            value = getattr(self, field.name)
            values.extend(value if isinstance(value, tuple) else (value,))
        return values


#: As the stock firmware boots.
DDR4_2133 = DdrParameters()

#: Share of the bytes of four ports that reads get of it at best, each port in a bank of its own.
DELIVERED = 0.966

#: What the chips could do with firmware of one's own.
DDR4_2400 = DDR4_2133.at_rate(2400)
