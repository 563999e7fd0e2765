"""Where golden and transformers part: each quantisation of ours switched off alone, on held-out text.

``python -m tests.models.attribution`` prints top-1 agreement and perplexity for each switch.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from terntable.host.compiler import compile_directory
from terntable.hw.spec.layout import logits_stride, round_up
from terntable.hw.spec.program import Buffer, RowFlag
from terntable.models.golden.attention import visible
from terntable.models.golden.machine import Machine
from terntable.quant.huggingface import read_checkpoint
from tests.models.test_agreement import CHAPTERS, LENGTH, MODEL, WIDE, held_out, loss, reference_logits
from tests.system.rig import GoldenSide, chain

__all__ = ["SWITCHES", "FloatMachine"]

SWITCHES = ("nothing", "query", "kv", "weights", "head", "query kv weights head")


class FloatMachine(Machine):
    """The golden machine with some of its quantisations replaced by binary64 arithmetic."""

    off: frozenset[str] = frozenset()
    embedding: NDArray[np.float32]

    def _quantise(self, a, target, column, length):
        super()._quantise(a, target, column, length)
        if target == Buffer.HEAD:
            self.exact_head = a.astype(np.float64)
        if target in (Buffer.QUERY, Buffer.KEY, Buffer.VALUE):
            self.__dict__.setdefault("exact", {})[target, column] = a.astype(np.float64)

    def _kv_store(self, d):
        super()._kv_store(d)
        store = self.__dict__.setdefault("cache", {}).setdefault((d["a"], int(d["address"])), {})
        for r in range(self.count):
            store[int(self.rows["slot"][r])] = self.exact[Buffer.VALUE if d["a"] else Buffer.KEY, 0][r]

    def _attention(self, d):
        super()._attention(d)
        if not self.off & {"query", "kv", "weights"}:
            return
        dim, group, first = int(d["length"]), int(d["b"]), int(d["a"])
        slots = int(self.rows["slot"][0]) + self.count
        size = self.config.beat_bytes
        padded = round_up(dim, size)
        base = self.registers["kv_base"]
        raw_k = self.memory[base + int(d["address"]):][:slots * (padded + size)].reshape(slots, -1)
        raw_v = self.memory[base + int(d["address2"]):][:slots * padded].reshape(slots, -1)
        scales = np.ascontiguousarray(raw_k[:, padded:padded + 8]).view(np.float32).astype(np.float64)
        keys, values = raw_k[:, :dim].view(np.int8) * scales[:, :1], raw_v[:, :dim].view(np.int8) * scales[:, 1:]
        if "kv" in self.off:
            keys = np.stack([self.cache[0, int(d["address"])][j] for j in range(slots)])
            values = np.stack([self.cache[1, int(d["address2"])][j] for j in range(slots)])
        seen = visible(self.rows["prefix"], self.rows["mask"], slots)
        for h in range(group):
            column = (first + h) * padded
            query = self.query[:self.count, column:column + dim] * self.scales[first + h, :self.count, None].astype(np.float64)
            if "query" in self.off:
                query = self.exact[Buffer.QUERY, column][:self.count]
            score = np.where(seen, query @ keys.T * float(d["imm"]), -np.inf)
            weight = np.exp2(score - score.max(axis=1, keepdims=True))
            if "weights" not in self.off:
                weight = np.rint(weight * 65536)
            out = weight / weight.sum(axis=1, keepdims=True) @ values
            at = int(d["offset2"]) + h * dim
            self.y[:self.count, at:at + dim] = out

    def _head(self, d):
        super()._head(d)
        if "head" in self.off:
            vocab = int(d["length"])
            stride = logits_stride(vocab, self.config)
            exact = (self.exact_head @ self.embedding.T.astype(np.float64)).astype(np.float32)
            for r in range(self.count):
                at = self.registers["logits_base"] + r * stride
                self.memory[at:at + 4 * vocab] = exact[r].view(np.uint8)


def measure(off: frozenset[str], texts: list[list[int]], model: Path = MODEL) -> list[np.ndarray]:
    """Logits of each text with the quantisations in `off` switched off."""
    side = GoldenSide(compile_directory(model, WIDE))
    side.machine.__class__ = FloatMachine
    side.machine.off = off
    side.machine.embedding = np.asarray(read_checkpoint(model).embedding, np.float32)
    results = []
    for text in texts:
        side.machine.__dict__.pop("cache", None)
        results.append(np.concatenate([
            side.run(chain(text[at:at + WIDE.rows], at, flags=RowFlag.LOGITS)).logits.copy()
            for at in range(0, len(text), WIDE.rows)]))
    return results


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chapters", type=int, default=CHAPTERS)
    parser.add_argument("--length", type=int, default=LENGTH)
    options = parser.parse_args()
    texts = [text[:options.length] for text in held_out()[:options.chapters]]
    reference = reference_logits(texts)
    theirs = np.concatenate([loss(logits, text) for logits, text in zip(reference, texts, strict=True)]).mean()
    for switch in SWITCHES:
        ours = measure(frozenset(switch.split()), texts)
        agree = np.concatenate([a.argmax(1) == b.argmax(1) for a, b in zip(ours, reference, strict=True)])
        own = np.concatenate([loss(logits, text) for logits, text in zip(ours, texts, strict=True)]).mean()
        print(f"{switch:24s} top-1 {agree.mean():.3%}  perplexity {np.exp(own - theirs) - 1:+.3%}", flush=True)


if __name__ == "__main__":
    main()
