"""Twin of :mod:`terntable.hw.axi_read`: each pin in each cycle, given the pins that others drive."""

from collections import deque
from collections.abc import Mapping

from terntable.models.golden.axi_burst import bursts

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
        self.sizes = {"beat_bytes": beat_bytes, "burst_beats": burst_beats}
        self.outstanding = outstanding
        self.todo: deque[tuple[int, int]] = deque()    # bursts of the present request
        self.shown: tuple[int, int] | None = None      # the address register
        self.flying = 0
        self.dropping = self.error = False

    def cycle(self, pins: Mapping[str, int]) -> dict[str, int]:
        """Outputs of a cycle whose inputs are `pins` (names of INPUTS), then the clock edge.

        Address and length are absent from the result while ``arvalid`` is 0.
        """
        drop = bool(pins["abort"]) or self.dropping
        issue = bool(self.todo) and not drop and (self.shown is None or pins["arready"]) \
            and self.flying < self.outstanding
        ready = not drop and (not self.todo or (issue and len(self.todo) == 1))
        beat = bool(pins["rvalid"] and (pins["o_ready"] or drop))
        out = {"request_ready": ready, "o_valid": pins["rvalid"] and not drop,
               "idle": not self.flying and (drop or not self.todo), "error": self.error, "beat": beat,
               "arvalid": self.shown is not None, "rready": pins["o_ready"] or drop}
        if self.shown is not None:
            out |= {"araddr": self.shown[0], "arlen": self.shown[1] - 1}

        self.dropping = drop and self.flying > 0
        self.flying += issue - bool(beat and pins["rlast"])
        self.error |= bool(beat and pins["rresp"])
        if pins["arready"]:
            self.shown = None
        if issue:
            self.shown = self.todo.popleft()
        if drop:
            self.todo.clear()
        if ready and pins["request_valid"]:
            self.todo.extend(bursts(pins["request_address"], pins["request_beats"], **self.sizes))
        return {name: int(value) for name, value in out.items()}
