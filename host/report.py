"""What a generation cost, as text and as JSON."""

from dataclasses import dataclass, field
from typing import Any

from terntable.host.decoding.ledger import Ledger
from terntable.host.generate import Step
from terntable.host.target import Counters, add_counters

__all__ = ["Report"]


@dataclass
class Report:
    """Collects the steps of a generation.

    Attributes
    ----------
    clock_hz : converts cycles, None where a device has no time.
    beat_bytes : of a port, None where a device has no ports.
    on_board : whether the clock was read back from a board; otherwise the cycles are simulated and the clock is assumed.
    first_tokens : tokens that the last pass of the prompt gave, more than one when a draft went with it.
    checked_passes : passes that were equal to the golden model, None when they were not compared.
    method, ledger : of the decoding method, None for one token a pass.

    """

    model: str
    device: str
    clock_hz: int | None = None
    beat_bytes: int | None = None
    on_board: bool = False
    prompt_tokens: int = 0
    checked_passes: int | None = None
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    finish_reason: str | None = None
    first_tokens: int = 1
    prefill: Counters = field(default_factory=dict)
    decode: Counters = field(default_factory=dict)
    method: str | None = None
    ledger: Ledger | None = None

    def add(self, step: Step) -> None:
        """Take in the next step."""
        if not self.tokens:
            self.prefill = step.counters
        elif step.counters or self.decode:
            self.decode = add_counters(self.decode, step.counters)
        else:
            self.first_tokens += 1
        self.tokens.append(step.token)
        self.text += step.text
        self.finish_reason = step.finish_reason

    @property
    def total(self) -> Counters:
        """Counters of all passes."""
        return add_counters(self.prefill, self.decode)

    @property
    def ttft_seconds(self) -> float | None:
        """Time from the prompt to the first token, at the clock."""
        return self._seconds(self.prefill)

    @property
    def decode_tokens_per_second(self) -> float | None:
        """Tokens after those of the prompt's last pass, at the clock."""
        seconds = self._seconds(self.decode)
        return (len(self.tokens) - self.first_tokens) / seconds if seconds else None

    @property
    def bytes_read(self) -> int | None:
        """Bytes of both read ports."""
        stream, data = self.total.get("stream_bytes"), self.total.get("read_bytes")
        return None if stream is None or data is None else stream + data

    def as_json(self) -> dict[str, Any]:
        """The object that --json prints; None where the device has no such number."""
        result: dict[str, Any] = {
            "model": self.model, "device": self.device, "prompt_tokens": self.prompt_tokens,
            "tokens": self.tokens,
            "text": self.text, "finish_reason": self.finish_reason, "cycles": self.total.get("cycles"),
            "clock_hz": self.clock_hz,
            "decode_tokens_per_second": self.decode_tokens_per_second, "ttft_seconds": self.ttft_seconds,
            "ddr_bytes_read": self.bytes_read, "ddr_bytes_written": self.total.get("write_bytes"),
        }
        if self.ledger is not None:
            result |= {"method": self.method, "ledger": self.ledger.as_json()}
        if self.checked_passes is not None:
            result |= {"equal_to_golden": True, "checked_passes": self.checked_passes}
        return result

    def as_text(self) -> str:
        """Lines for a reader; what the device does not have is left out."""
        total, passes = self.total, self.total.get("passes")
        lines = [("prompt tokens", f"{self.prompt_tokens}"),
                 ("new tokens", f"{len(self.tokens)} (ended by {self.finish_reason}, {passes} passes)")]
        if self.ledger is not None:
            lines.append((f"method {self.method}", f"{self.ledger.tokens_per_forward:.2f} tokens a forward, of "
                          f"{self.ledger.verify_width:.1f} rows on average"))
        if (cycles := total.get("cycles")) is not None and self.clock_hz:
            megahertz = f"{self.clock_hz / 1e6:g} MHz"
            clock, kind = f"simulated, {megahertz} assumed", "simulated cycles"
            if self.on_board:
                clock, kind = f"cycles of the board at {megahertz}", "cycles on the board"
            lines.append((kind, f"{cycles:,} (prompt {self.prefill['cycles']:,})"))
            if (rate := self.decode_tokens_per_second) is not None:
                lines.append(("decode", f"{rate:.1f} tokens/s ({clock})"))
            if (first := self.ttft_seconds) is not None:
                lines.append(("time to first token", f"{first * 1e3:.3f} ms ({clock})"))
        if self.bytes_read is not None:
            stream, written = total["stream_bytes"] or 0, total["write_bytes"] or 0
            lines += [
                ("DDR bytes read",
                 f"{self.bytes_read:,}{self._share(self.bytes_read, ports=2, kind='both read ports')}"),
                ("  of it weights", f"{stream:,}{self._share(stream, ports=1, kind='the weight port')}"),
                ("DDR bytes written", f"{written:,}{self._share(written, ports=1, kind='the write port')}"),
            ]
        if self.checked_passes is not None:
            lines.append(("equal to the golden model", f"yes ({self.checked_passes} passes)"))
        return "\n".join(f"{name + ':':27s}{value}" for name, value in lines)

    def _share(self, count: int, *, ports: int, kind: str) -> str:
        cycles = self.total.get("cycles")
        if not cycles or not self.beat_bytes:
            return ""
        return f" ({count / (cycles * self.beat_bytes * ports):.1%} of the DDR limit of {kind})"

    def _seconds(self, counters: Counters) -> float | None:
        cycles = counters.get("cycles")
        return None if cycles is None or not self.clock_hz else cycles / self.clock_hz
