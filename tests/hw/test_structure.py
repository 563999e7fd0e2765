"""Every hardware file has its partners: a golden twin of the same name and a test of the same name."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HARDWARE = ROOT / "hw"
GOLDEN = ROOT / "models" / "golden"
TESTS = ROOT / "tests" / "hw"

#: Parts of a larger unit, whose twin defines what they compute too.
TWIN = {
    "attention_convert": "attention",
    "attention_factors": "attention",
    "attention_planes": "attention",
    "attention_queries": "attention",
    "attention_scales": "attention",
    "attention_scores": "attention",
    "attention_values": "attention",
    "attention_weights": "attention",
    "block_sums": "tlmm",
    "dsp_chain": "int8_array",
    "float_quotient": "float_divide",
    "glu": "lanes",
    "head_logits": "head",
    "head_sums": "head",
    "lane_pair": "lanes",
    "largest": "float32",
    "partial_sums": "lanes",
}

#: Files that compute no numbers, and what they do instead.
NO_TWIN = {
    "accelerator": "wires registers, ports and datapath together",
    "attention_sizes": "names sizes",
    "axi": "names the wires of the buses",
    "axi_share": "moves",
    "cell_issue": "counts",
    "column_feed": "moves",
    "column_memory": "stores",
    "csr": "holds the registers of hw/spec/registers.py",
    "datapath": "wires the units together; the twin of the whole machine is models/golden/machine.py",
    "descriptor_fetch": "moves descriptors and says what they ask for",
    "emission": "shortens the text that is written",
    "head_feed": "moves",
    "head_gather": "moves",
    "head_unit": "wires the head to what follows it",
    "kernel": "is what kernels are made of",
    "kv_fetch": "moves",
    "kv_store": "moves",
    "logit_writer": "moves",
    "memory_ports": "wires readers and ports together",
    "read_mux": "moves",
    "register_slice": "moves",
    "regroup": "stores",
    "result_writer": "moves",
    "row_loader": "moves",
    "row_table": "stores",
    "sequencer": "runs descriptors; the twin of the whole machine is models/golden/machine.py",
    "shapes": "names layouts",
    "short_queue": "stores",
    "shortlist_feed": "moves",
    "stripe_port": "moves",
    "striped_read": "moves",
    "supervisor": "counts cycles and stops a faulty pass",
    "vector": "moves operands and results of the lanes",
    "verilog": "writes files",
    "word_ring": "stores",
}

#: Files that are tested together with others, and where.
TEST = {
    "descriptor_fetch": "test_sequencer",
    "emission": "test_verilog",
    "glu": "test_vector",
    "partial_sums": "test_vector",
    "attention_convert": "test_attention",
    "attention_factors": "test_attention",
    "attention_planes": "test_attention",
    "attention_queries": "test_attention",
    "attention_scales": "test_attention",
    "attention_scores": "test_attention",
    "attention_sizes": "test_attention",
    "attention_values": "test_attention",
    "attention_weights": "test_attention",
    "block_sums": "test_tlmm",
    "cell_issue": "test_tlmm",
    "column_feed": "test_tlmm",
    "column_memory": "test_buffers",
    "dsp_chain": "test_int8_array",
    "exp2": "test_kernels",
    "float_add": "test_kernels",
    "float_bits": "test_kernels",
    "float_exp": "test_kernels",
    "float_from_int": "test_kernels",
    "float_mul": "test_kernels",
    "float_parabola": "test_kernels",
    "float_quotient": "test_kernels",
    "float_reciprocal": "test_kernels",
    "float_sigmoid": "test_kernels",
    "float_sqrt": "test_kernels",
    "float_to_fixed": "test_kernels",
    "float_to_int": "test_kernels",
    "half_to_float": "test_buffers",
    "head_feed": "test_head",
    "head_logits": "test_head",
    "head_sums": "test_head",
    "kernel": "test_kernels",
    "lane_pair": "test_vector",
    "lanes": "test_vector",
    "largest": "test_vector",
    "row_loader": "test_loading",
    "row_table": "test_loading",
    "stripe_port": "test_striped_read",
    "word_ring": "test_striped_read",
}

#: Files without a bench of their own, and why.
NO_TEST = {
    "accelerator": "is the whole machine, which tests/system runs against models/golden/machine.py",
    "datapath": "wires the units together; tests/system runs it in the whole machine",
    "shapes": "names layouts",
}

UNITS = sorted(path.stem for path in HARDWARE.glob("*.py") if path.stem != "__init__")


def imported(path: Path) -> set[str]:
    """Names of all modules that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def reached(path: Path) -> set[str]:
    """Modules that a file imports, or the test helpers and hardware that it imports."""
    found, left = set(), [path]
    while left:
        for name in imported(left.pop()) - found:
            found.add(name)
            folder, _, rest = name.partition(".")
            inner = ROOT / (name if folder == "tests" else rest).replace(".", "/")
            file = inner.with_suffix(".py")
            if (name.startswith("tests.hw.") or name.startswith("terntable.hw.")) and file.exists():
                left.append(file)
    return found


@pytest.mark.parametrize("unit", UNITS)
def test_has_twin(unit):
    if unit in NO_TWIN:
        assert not (GOLDEN / f"{unit}.py").exists(), f"{unit} has a twin and needs no exemption"
        return
    twin = TWIN.get(unit, unit)
    assert (GOLDEN / f"{twin}.py").exists(), f"hw/{unit}.py has no models/golden/{twin}.py"
    if unit in TWIN:
        text = (HARDWARE / f"{unit}.py").read_text()
        assert f"models.golden.{twin}" in text, f"hw/{unit}.py does not name {twin}"


@pytest.mark.parametrize("unit", UNITS)
def test_has_test(unit):
    if unit in NO_TEST:
        return
    path = TESTS / f"{TEST.get(unit, f'test_{unit}')}.py"
    assert path.exists(), f"hw/{unit}.py has no {path.relative_to(ROOT)}"
    assert f"terntable.hw.{unit}" in reached(path), f"{path.relative_to(ROOT)} does not import hw/{unit}.py"


@pytest.mark.parametrize("table", [TWIN, NO_TWIN, TEST, NO_TEST], ids=["TWIN", "NO_TWIN", "TEST", "NO_TEST"])
def test_no_stale_exemption(table):
    assert not set(table) - set(UNITS)


def test_each_bench_is_run():
    """A bench file without a test that launches it would never run."""
    for bench in set(TESTS.glob("*_bench.py")) - set(TESTS.glob("test_*.py")):
        name = f"tests.hw.{bench.stem}"
        assert any(name in test.read_text() for test in TESTS.glob("test_*.py")), f"No test launches {name}"
