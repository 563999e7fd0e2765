"""Which folder may import which, read from the sources: quant <- hw.spec <- models, hw <- sim <- host."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("quant", "hw", "models", "sim", "host")

#: Part of the package -> the parts it may import besides itself. A part is the longest name here that fits.
ALLOWED = {
    "quant": set(),
    "hw.spec": {"quant"},
    "models": {"quant", "hw.spec"},
    "hw": {"quant", "hw.spec"},
    "sim": {"quant", "hw.spec", "models", "hw"},
    "host": {"quant", "hw.spec", "models", "hw", "sim"},
}


def part_of(module: str) -> str:
    """The part that a module's name without ``terntable.`` belongs to."""
    fitting = [part for part in ALLOWED if f"{module}.".startswith(f"{part}.")]
    if not fitting:
        raise ValueError(f"{module} is in no known part")
    return max(fitting, key=len)


def imports(text: str) -> Iterator[tuple[int, str, int]]:
    """Line, absolute name and level of every import in a source, also those inside functions."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = f"{node.module}." if node.module else ""
            yield from ((node.lineno, f"{prefix}{alias.name}", node.level) for alias in node.names)


def faults(module: str, text: str) -> list[str]:
    """What is wrong with the imports of a source that is called `module` (``hw.dot``), one sentence each."""
    found = []
    for line, name, level in imports(text):
        first, _, rest = name.partition(".")
        if level:
            found.append(f"{module}:{line}: relative import of {name}")
        elif first in FOLDERS:
            found.append(f"{module}:{line}: bare import of {name}, write terntable.{name}")
        elif first == "terntable" and module.split(".")[0] in FOLDERS:
            here, there = part_of(module), part_of(rest)
            if there != here and there not in ALLOWED[here]:
                found.append(f"{module}:{line}: {here} must not import {there} ({name})")
        elif first == "tests" and module.split(".")[0] != "tests":
            found.append(f"{module}:{line}: the package must not import its tests ({name})")
    return found


def sources() -> list[Path]:
    return sorted(path for folder in (*FOLDERS, "tests") for path in (ROOT / folder).rglob("*.py")
                  if "__pycache__" not in path.parts)


@pytest.mark.parametrize("folder", [*FOLDERS, "tests"])
def test_imports(folder):
    found = []
    for path in sources():
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] == folder:
            found += faults(".".join(parts), path.read_text())
    assert not found, "\n".join(found)


@pytest.mark.parametrize("module,text,message", [
    ("hw.x", "import terntable.host.cli", "hw must not import host"),
    ("hw.x", "from terntable.models.golden import dot", "hw must not import models"),
    ("models.x", "from terntable.hw.dot import Dot", "models must not import hw"),
    ("quant.x", "def f():\n    from terntable.hw.spec import config", "x:2: quant must not import hw.spec"),
    ("hw.spec.x", "from terntable.hw import kernel", "hw.spec must not import hw"),
    ("sim.x", "from hw.dot import Dot", "bare import"),
    ("tests.x", "import quant", "bare import"),
    ("host.x", "from . import cli", "relative"),
    ("host.x", "from tests.hw import streams", "its tests"),
])
def test_wrong_imports_are_found(module, text, message):
    assert any(message in fault for fault in faults(module, text))


@pytest.mark.parametrize("module,text", [
    ("models.x", "from terntable.hw.spec import numbers"),
    ("models.x", "from terntable.hw.spec.numbers import INVALID"),
    ("host.x", "import terntable.sim.machine, numpy"),
    ("hw.x", "from terntable.hw.spec.config import preset"),
])
def test_right_imports_pass(module, text):
    assert not faults(module, text)


def test_every_folder_is_a_package():
    """A folder without ``__init__.py`` would be left out of the wheel."""
    missing = [path.parent for path in sources() if not (path.parent / "__init__.py").exists()]
    assert not missing
