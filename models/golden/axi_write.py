"""Twin of :mod:`terntable.hw.axi_write`: each pin in each cycle, given the pins that others drive."""

from collections.abc import Mapping

from terntable.models.golden.axi_burst import SplitterCycles

__all__ = ["INPUTS", "OUTPUTS", "AxiWriteCycles"]

INPUTS = (
    "request_valid",
    "request_address",
    "request_beats",
    "i_valid",
    "i_payload",
    "abort",
    "awready",
    "wready",
    "bvalid",
    "bresp",
)
OUTPUTS = (
    "request_ready",
    "i_ready",
    "idle",
    "error",
    "beat",
    "awvalid",
    "awaddr",
    "awlen",
    "wvalid",
    "wdata",
    "wstrb",
    "wlast",
    "bready",
)


class AxiWriteCycles:
    """The write master after reset. Sizes as in the hardware."""

    def __init__(self, *, beat_bytes: int, burst_beats: int, outstanding: int):
        self.splitter = SplitterCycles(beat_bytes=beat_bytes, burst_beats=burst_beats)
        self.outstanding = outstanding
        self.strobes = (1 << beat_bytes) - 1
        self.shown: tuple[int, int] | None = None  # the address register
        self.data: tuple[int | None, int, int] | None = (
            None  # the data register: data (None: any), strobes, last
        )
        self.left = self.flying = 0
        self.dropping = self.error = False
        self.idle = True

    def cycle(self, pins: Mapping[str, int]) -> dict[str, int]:
        """Outputs of a cycle whose inputs are `pins` (names of INPUTS), then the clock edge.

        What may be anything is absent from the result: address and data unless valid, data without strobes.
        """
        drop = bool(pins["abort"]) or self.dropping
        free = self.left > 0 and (self.data is None or bool(pins["wready"]))
        take = free and (drop or bool(pins["i_valid"]))
        issue = self.splitter.offered is not None and not drop and (self.shown is None or bool(pins["awready"])) \
            and self.flying < self.outstanding and (self.left == 0 or (take and self.left == 1))
        ready = self.splitter.ready and not drop
        out = {
            "request_ready": ready,
            "i_ready": free and not drop,
            "idle": self.idle,
            "error": self.error,
            "beat": free and not drop and pins["i_valid"],
            "awvalid": self.shown is not None,
            "wvalid": self.data is not None,
            "bready": 1,
        }
        if self.shown is not None:
            out |= {"awaddr": self.shown[0], "awlen": self.shown[1] - 1}
        if self.data is not None:
            data, strobes, last = self.data
            out |= {"wstrb": strobes, "wlast": last, **({} if data is None else {"wdata": data})}

        asked = ready and bool(pins["request_valid"])
        self.idle = not self.flying and (drop or not self.splitter.busy) and not asked
        self.dropping = drop and self.flying > 0
        self.flying += issue - pins["bvalid"]
        self.error |= bool(pins["bvalid"] and pins["bresp"])
        if pins["wready"]:
            self.data = None
        if take:
            last = self.left == 1
            self.data = (None, 0, last) if drop else (pins["i_payload"], self.strobes, last)
            self.left -= 1
        if pins["awready"]:
            self.shown = None
        if issue and self.splitter.offered is not None:
            self.shown = self.splitter.offered
            self.left = self.shown[1]
        self.splitter.edge(taken=issue, drop=drop, request=(pins["request_address"], pins["request_beats"])
                           if asked else None)
        return {name: int(value) for name, value in out.items()}
