"""Train a part: ``python -m terntable.host.decoding.training PART --model MODEL``.

The teacher first writes its text, then the part is trained; both are kept in the cache folder as they go, so that a run that was
cut short goes on. The result lies in FOLDER/MODEL/PART.safetensors.
"""

import argparse
import importlib
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

from terntable.host.arguments import say
from terntable.host.decoding.loading import load_model
from terntable.host.decoding.parts import save_part
from terntable.host.decoding.training.part import Part
from terntable.host.errors import DeviceError, InputError
from terntable.host.models import cache_folder
from terntable.quant.checkpoint import CheckpointError

__all__ = ["PARTS", "main", "train_part"]

#: Name -> module of this package that holds it as PART.
PARTS = {
    "draft": "draft",
    "deer": "deer",
    "gad": "gad",
    "assd": "assd",
    "exits": "exits",
    "s2d": "s2d",
    "hidden-transfer": "hidden_transfer",
    "ppd": "ppd",
    "eagle": "eagle",
    "chimera": "chimera",
    "scenes": "scenes",
    "specvlm": "specvlm",
}


def train_part(part: Part, model: str, folder: Path, *, steps: int | None = None) -> list[float]:
    """Train a part for a model and keep it; the losses."""
    import torch

    from terntable.host.decoding.training.teacher import Teacher, kjv_windows
    from terntable.host.decoding.training.trainer import train

    recipe = part.recipe if steps is None else replace(part.recipe, steps=steps)
    torch.set_num_threads(recipe.threads)
    if part.prepare is None:
        assert part.make is not None
        known, job = part.model, part.make(recipe)
    else:
        teacher = Teacher(load_model(model))
        known, written = teacher.causal.name, teacher.write(kjv_windows(teacher.causal, part.answers), progress=say)
        job = part.prepare(teacher, torch.from_numpy(written), recipe)
    start = time.monotonic()
    losses = train(job.module, job.loss, recipe, folder=cache_folder(), name=f"{known}-{part.name}", progress=say)
    if job.finish is not None:
        job.finish()
    if job.keep is not None:
        say(f"{job.keep(folder)}: {len(losses)} updates in {time.monotonic() - start:.0f} s")
        return losses
    tensors = {name: value.detach().numpy() for name, value in job.module.state_dict().items() if not name.startswith(job.frozen)}
    file = folder / known / f"{part.name}.safetensors"
    save_part(file, {"part": part.name, "model": known, "config": job.config, "recipe": asdict(recipe),
                     "last_loss": sum(losses[-50:]) / len(losses[-50:])}, tensors)
    say(f"{file}: {len(losses)} updates in {time.monotonic() - start:.0f} s")
    return losses


def main(words: list[str] | None = None) -> int:
    """Command line; 2 for wrong input."""
    parser = argparse.ArgumentParser(prog="python -m terntable.host.decoding.training", description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--model", default="kjv", help="shipped name or Hugging Face directory (kjv)")
    parser.add_argument("--steps", type=int, metavar="N", help="updates, in place of the recipe's")
    parser.add_argument("--folder", type=Path, help="where parts are kept by model (with the shipped ones)")
    arguments = parser.parse_args(words)
    if arguments.steps is not None and arguments.steps < 1:
        print(f"--steps must be at least 1, not {arguments.steps}", file=sys.stderr)
        return 2
    try:
        part = importlib.import_module(f"terntable.host.decoding.training.{PARTS[arguments.part]}").PART
        train_part(part, arguments.model, arguments.folder or part.home, steps=arguments.steps)
    except (InputError, DeviceError, CheckpointError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
