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
    """Settings of one run: `schedule` holds (step, factor) knots on the peak rates, linear in between."""

    schedule: tuple[tuple[int, float], ...] = ((0, 0.0), (100, 1.0), (640, 1.0), (1150, 0.0))
    decay_until: int = 640
    long_from: int = 850
    batch_tokens: int = 4096
    context: int = 256
    long_context: int = 512
    seed: int = 1611
    muon_rate: float = 0.02
    adam_rate: float = 3e-3
    weight_decay: float = 0.1
    quantised: bool = True
    threads: int = 2

    def __post_init__(self) -> None:
        steps = [step for step, _ in self.schedule]
        if len(steps) < 2 or steps[0] != 0 or sorted(set(steps)) != steps:
            raise ValueError(f"the schedule {self.schedule} must go from step 0 up in at least two knots")
        for context in (self.context, self.long_context):
            if self.batch_tokens % context:
                raise ValueError(f"{self.batch_tokens} tokens a batch are not whole windows of {context}")

    @property
    def steps(self) -> int:
        """Number of steps: that of the last knot."""
        return self.schedule[-1][0]

    def rate(self, step: int) -> float:
        """Factor on both peak rates at a step from 0; while warming up, that after the step."""
        (_, first), *_ = self.schedule
        position = step + 1 if step < self.schedule[1][0] and first == 0 else step
        steps, factors = zip(*self.schedule, strict=True)
        return float(np.interp(position, steps, factors))

    def decay(self, step: int) -> float:
        """Weight decay: full in the first stage, none in the second, where the ternary signs settle."""
        return self.weight_decay if step < self.decay_until else 0.0

    def context_at(self, step: int) -> int:
        """Window length: short at first, long at the end so that every position is trained."""
        return self.context if step < self.long_from else self.long_context

    def same_past(self, other: "RunConfig", steps: int) -> bool:
        """Whether the first `steps` steps of both runs are the same; what comes later may be planned anew."""
        plan = {"schedule", "decay_until", "long_from"}
        fixed = all(value == getattr(other, name) for name, value in asdict(self).items() if name not in plan)
        return fixed and all(
            (self.rate(step), self.decay(step), self.context_at(step))
            == (other.rate(step), other.decay(step), other.context_at(step))
            for step in range(steps)
        )

    def shortened(self, steps: int) -> "RunConfig":
        """The same run with all of its milestones scaled to another number of steps."""
        factor = steps / self.steps
        return replace(
            self,
            schedule=tuple((round(step * factor), rate) for step, rate in self.schedule),
            decay_until=round(self.decay_until * factor),
            long_from=round(self.long_from * factor),
        )

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "RunConfig":
        """Inverse of `dataclasses.asdict` after a trip through a checkpoint."""
        schedule = tuple((int(step), float(factor)) for step, factor in values["schedule"])
        return RunConfig(**{**values, "schedule": schedule})


TERNARY = RunConfig()
"""The run of the shipped model."""

FLOAT = RunConfig(
    schedule=((0, 0.0), (100, 1.0), (210, 1.0), (325, 0.0)), decay_until=210, long_from=275, quantised=False
)
"""The run of the float twin: the same seed, data order and peak rates, but shorter."""


class Run:
    """A network, its optimisers and the step counter."""

    def __init__(
        self, *, config: RunConfig, network: NetworkConfig, tokens: np.ndarray, compiled: bool = False
    ) -> None:
        torch.set_num_threads(config.threads)
        torch.set_flush_denormal(True)
        torch.manual_seed(config.seed)
        self.config = config
        self.network = Network(network, quantised=config.quantised)
        self.short, self.long = (
            data.Batches(
                tokens=tokens, context=context, batch=config.batch_tokens // context, seed=config.seed
            )
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
        batches = self.short if config.context_at(self.step) == config.context else self.long
        inputs, targets = (torch.from_numpy(np.ascontiguousarray(part)) for part in batches(self.step))
        loss = self._loss(inputs, targets)
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
        if not self.config.same_past(RunConfig.from_dict(state["run"]), state["step"]):
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


def train(*, run: Run, path: Path, development: np.ndarray, every: int = 25, stop: int | None = None) -> None:
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
                    "tokens_per_s": round(
                        (run.step - first) * run.config.batch_tokens / (time.monotonic() - start)
                    ),
                }
                losses.clear()
                with log.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(record) + "\n")
                bar.set_postfix(train=record["train"], development=record["development"])
                run.save(path)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--float", action="store_true", help="train the float twin, without quantisation")
    parser.add_argument("--steps", type=int, help="number of steps (default: as for the model card)")
    parser.add_argument("--build", type=Path, default=BUILD, help="directory of checkpoints and logs")
    parser.add_argument(
        "--eager", action="store_true", help="do not compile the loss: slower, needs no C++ compiler"
    )
    options = parser.parse_args(arguments)
    config = FLOAT if options.float else TERNARY
    if options.steps is not None:
        config = config.shortened(options.steps)
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
