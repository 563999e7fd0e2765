"""Twin of :mod:`terntable.hw.axi_read`: each pin in each cycle, given the pins that others drive."""

from collections.abc import Mapping

from terntable.models.golden.axi_burst import SplitterCycles

__all__ = ["INPUTS", "OUTPUTS", "AxiReadCycles"]

INPUTS = (
    "request_valid",
    "request_address",
    "request_beats",
    "o_ready",
    "abort",
    "arready",
    "rvalid",
    "rresp",
    "rlast",
)
OUTPUTS = ("request_ready", "o_valid", "idle", "error", "beat", "arvalid", "araddr", "arlen", "rready")


class AxiReadCycles:
    """The read master after reset. Sizes as in the hardware."""

    def __init__(self, *, beat_bytes: int, burst_beats: int, outstanding: int):
        self.splitter = SplitterCycles(beat_bytes=beat_bytes, burst_beats=burst_beats)
        self.outstanding = outstanding
        self.shown: tuple[int, int] | None = None      # the address register
        self.flying = 0
        self.dropping = self.error = False

    def cycle(self, pins: Mapping[str, int]) -> dict[str, int]:
        """Outputs of a cycle whose inputs are `pins` (names of INPUTS), then the clock edge.

        Address and length are absent from the result while ``arvalid`` is 0.
        """
        drop = bool(pins["abort"]) or self.dropping
        issue = self.splitter.offered is not None and not drop and (self.shown is None or bool(pins["arready"])) \
            and self.flying < self.outstanding
        ready = self.splitter.ready and not drop
        beat = bool(pins["rvalid"] and (pins["o_ready"] or drop))
        out = {"request_ready": ready, "o_valid": pins["rvalid"] and not drop,
               "idle": not self.flying and (drop or not self.splitter.busy), "error": self.error, "beat": beat,
               "arvalid": self.shown is not None, "rready": pins["o_ready"] or drop}
        if self.shown is not None:
            out |= {"araddr": self.shown[0], "arlen": self.shown[1] - 1}

        self.dropping = drop and self.flying > 0
        self.flying += issue - bool(beat and pins["rlast"])
        self.error |= bool(beat and pins["rresp"])
        if pins["arready"]:
            self.shown = None
        if issue:
            self.shown = self.splitter.offered
        self.splitter.edge(taken=issue, drop=drop, request=(pins["request_address"], pins["request_beats"])
                           if ready and pins["request_valid"] else None)
        return {name: int(value) for name, value in out.items()}
