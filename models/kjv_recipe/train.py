"""Train the King James model: `python -m terntable.models.kjv_recipe.train` (`--float` for the float twin).

The run is a pure function of its settings, the data and the number of threads: a run that was cut off and
resumed from its checkpoint takes the same steps as an uninterrupted one.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from terntable.models.kjv_recipe import data
from terntable.models.kjv_recipe.network import Network, NetworkConfig
from terntable.models.kjv_recipe.optimiser import Muon
from terntable.models.kjv_recipe.tokenizer import load_or_train

BUILD = Path("build/train")


@dataclass(frozen=True)
class RunConfig:
    """Settings of one run. Rates are peak values; fractions are of `steps`."""

    steps: int = 3000
    batch_tokens: int = 4096
    context: int = 256
    long_context: int = 512
    long_from: float = 0.75
    seed: int = 1611
    muon_rate: float = 0.02
    adam_rate: float = 3e-3
    weight_decay: float = 0.1
    warmup: int = 100
    decay_from: float = 0.3
    dropout: float = 0.0
    dropout_from: float = 0.5
    quantised: bool = True
    threads: int = 2

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"{self.steps} steps are no run; at least one is needed")
        for context in (self.context, self.long_context):
            if self.batch_tokens % context:
                raise ValueError(f"{self.batch_tokens} tokens a batch are not whole windows of {context}")

    def rate(self, step: int) -> float:
        """Factor on both peak rates: linear warm-up, constant, then linear to zero at the last step."""
        warm = min(1.0, (step + 1) / max(1, self.warmup))
        left = (self.steps - step) / (self.steps * (1 - self.decay_from))
        return min(warm, left, 1.0)

    def decay(self, step: int) -> float:
        """Weight decay: full in the first half, none in the second, where the ternary signs settle."""
        return self.weight_decay if step < self.steps // 2 else 0.0

    def dropout_at(self, step: int) -> float:
        """Dropout: none until the data has been seen a few times, then constant."""
        return self.dropout if step >= self.steps * self.dropout_from else 0.0


class Run:
    """A network, its optimisers and the step counter."""

    def __init__(self, *, config: RunConfig, network: NetworkConfig, tokens: np.ndarray, compiled: bool = False) -> None:
        torch.set_num_threads(config.threads)
        torch.set_flush_denormal(True)
        torch.manual_seed(config.seed)
        self.config = config
        self.network = Network(network, quantised=config.quantised)
        self.short, self.long = (
            data.Batches(tokens=tokens, context=context, batch=config.batch_tokens // context, seed=config.seed)
            for context in (config.context, config.long_context)
        )
        self.fingerprint = data.fingerprint(tokens)
        matrices = [p for n, p in self.network.named_parameters() if n.endswith("_proj")]
        others = [p for n, p in self.network.named_parameters() if not n.endswith("_proj")]
        self.optimisers: list[torch.optim.Optimizer] = [
            Muon(matrices, lr=config.muon_rate),
            torch.optim.AdamW(others, lr=config.adam_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
        ]
        self._loss = torch.compile(self.network.loss, dynamic=False) if compiled else self.network.loss
        self.step = 0

    def advance(self) -> float:
        """Take one step; return its training loss in nats a token."""
        config = self.config
        torch.manual_seed(config.seed + 1 + self.step)
        batches = self.long if self.step >= config.steps * config.long_from else self.short
        inputs, targets = (torch.from_numpy(np.ascontiguousarray(part)) for part in batches(self.step))
        loss = self._loss(inputs, targets, dropout=config.dropout_at(self.step))
        loss.backward()
        muon, adam = self.optimisers
        for optimiser, peak in ((muon, config.muon_rate), (adam, config.adam_rate)):
            for group in optimiser.param_groups:
                group["lr"] = peak * config.rate(self.step)
        muon.param_groups[0]["weight_decay"] = config.decay(self.step)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.step += 1
        return float(loss.detach())

    def save(self, path: Path) -> None:
        """Write the checkpoint in one atomic rename, so that a cut-off write never replaces a good one."""
        state = {
            "network": self.network.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step,
            "run": asdict(self.config),
            "network_config": asdict(self.network.config),
            "data": self.fingerprint,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, path)

    def restore(self, path: Path) -> None:
        """Continue from a checkpoint; ValueError when it belongs to other data or other settings."""
        state = load_checkpoint(path)
        if state["data"] != self.fingerprint:
            raise ValueError(f"{path} was trained on other tokens ({state['data']}, here {self.fingerprint})")
        if state["run"] != asdict(self.config):
            raise ValueError(f"{path} was written by a run with other settings: {state['run']}")
        self.network.load_state_dict(state["network"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step = state["step"]


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return the dictionary that `Run.save` wrote; tensors and plain values only."""
    return torch.load(path, map_location="cpu", weights_only=True)


def load_network(path: Path) -> Network:
    """Return the network of a checkpoint, ready to evaluate."""
    state = load_checkpoint(path)
    network = Network(NetworkConfig(**state["network_config"]), quantised=state["run"]["quantised"])
    network.load_state_dict(state["network"])
    return network.eval()


@torch.no_grad()
def stream_loss(network: Network, tokens: np.ndarray, *, context: int) -> float:
    """Mean loss in nats a token over consecutive windows of a short stream; a quick figure while training."""
    total = 0.0
    for start in range(0, len(tokens) - 1, context):
        window = torch.from_numpy(tokens[start : start + context + 1])
        total += float(network.loss(window[None, :-1], window[None, 1:])) * (len(window) - 1)
    return total / (len(tokens) - 1)


def train(*, run: Run, path: Path, development: np.ndarray, every: int = 100, stop: int | None = None) -> None:
    """Advance to the last step (or to `stop`), checkpointing and logging every `every` steps."""
    end = min(run.config.steps, stop or run.config.steps)
    log = path.with_suffix(".jsonl")
    start, first, losses = time.monotonic(), run.step, []
    with tqdm(initial=run.step, total=run.config.steps, unit="step", mininterval=10) as bar:
        while run.step < end:
            losses.append(run.advance())
            bar.update()
            if run.step % every == 0 or run.step == end:
                quick = stream_loss(run.network, development, context=run.config.long_context)
                record = {
                    "step": run.step,
                    "train": round(sum(losses) / len(losses), 4),
                    "development": round(quick, 4),
                    "tokens_per_s": round((run.step - first) * run.config.batch_tokens
                                          / (time.monotonic() - start)),
                }
                losses.clear()
                with log.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(record) + "\n")
                bar.set_postfix(train=record["train"], development=record["development"])
                run.save(path)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--float", action="store_true", help="train the float twin: same network, no quantisation")
    parser.add_argument("--steps", type=int, help="number of steps (default: that of the shipped model)")
    parser.add_argument("--build", type=Path, default=BUILD, help="directory of checkpoints and logs")
    parser.add_argument("--eager", action="store_true", help="do not compile the loss (slower; needs no C++ compiler)")
    options = parser.parse_args(arguments)
    config = RunConfig(quantised=not options.float)
    if options.steps is not None:
        config = replace(config, steps=options.steps)
    training, development, _ = data.split(data.load_chapters())
    tokenizer = load_or_train(options.build / "tokenizer.json", data.flatten(training))
    run = Run(
        config=config,
        network=NetworkConfig(vocabulary=tokenizer.get_vocab_size()),
        tokens=data.encode(tokenizer, data.flatten(training)),
        compiled=not options.eager,
    )
    path = options.build / ("float.pt" if options.float else "ternary.pt")
    if path.exists():
        run.restore(path)
    train(run=run, path=path, development=data.encode(tokenizer, data.flatten(development)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
