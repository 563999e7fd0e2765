"""Passes cut into layers on the golden device: states that they leave, rows that leave early, rows that enter late."""

import numpy as np
import pytest
import torch
from torch.nn.functional import rms_norm

from terntable.host.checked import CheckedSession, Mismatch
from terntable.host.compiler import compile_directory
from terntable.host.decoding.host_layers import HostLayers
from terntable.host.devices.golden import GoldenDevice
from terntable.host.errors import SessionError
from terntable.host.loaded import memory_needed
from terntable.host.pass_parts import PassParts
from terntable.host.session import Session
from terntable.host.states import LAST
from terntable.hw.spec.config import preset
from terntable.hw.spec.program import DESCRIPTOR, Op
from terntable.models.golden.machine import Machine
from tests.host.tiny_checkpoint import write_checkpoint

TOKENS = np.random.default_rng(3).integers(2, 97, 20)
LAYERS = 4


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    """A model with layers enough to leave and enter between."""
    return compile_directory(write_checkpoint(tmp_path_factory.mktemp("models") / "deep", layers=LAYERS), preset("nano"))


@pytest.fixture
def session(deep):
    """A fresh sequence of it."""
    with Session(GoldenDevice(deep.config, memory_bytes=memory_needed(deep, states=True)), deep) as opened:
        yield opened


def bits(result):
    """Logits as bytes, for comparisons of bits."""
    return result.logits.view(np.uint32)


def stream_of(session, monkeypatch):
    """X before each layer and before the last norm, of the passes to come: lists of (rows, hidden), a list for each pass."""
    taken, norms = [], []
    machine, begun = session.device.machine, Machine.run

    def step(descriptor, own=machine._step):
        if descriptor["op"] == Op.VEC and descriptor["a"] == 0 and descriptor["b"] == 0:
            norms.append(machine.x[:machine.count, :36].copy())
        own(descriptor)

    def run(one):
        norms.clear()
        count = begun(one)
        taken.append(norms[::2])
        return count

    monkeypatch.setattr(machine, "_step", step)
    monkeypatch.setattr(Machine, "run", run)
    return taken


def test_parts_of_a_pass_are_all_of_it(deep):
    parts = PassParts(deep)
    assert len(parts.layers) == LAYERS and len({len(layer) for layer in parts.layers}) == 1
    whole = np.concatenate([parts.lead, *parts.layers, parts.tail])
    assert deep.program.tobytes().startswith(whole.tobytes())
    assert parts.words[LAYERS] + parts.words_of(parts.tail) == deep.stream_words


@pytest.mark.parametrize("layers", [(LAST,), (0, 2), (LAST, 0, 1, 2, 3)])
def test_states_are_what_the_layers_give(session, deep, monkeypatch, layers):
    session.keep_states(layers)
    taken = stream_of(session, monkeypatch)
    session.extend(TOKENS[:7])
    result = session.verify(TOKENS[7:10], [-1, 0, 0], logits=True)
    parts = PassParts(deep)
    for layer in layers:
        wanted = np.concatenate([one[layer] for one in taken])
        got = session.states(layer, 0, 10)
        gamma = parts.norm_weights(LAYERS if layer == LAST else layer)
        if layer == LAST:
            wanted = rms_norm(torch.from_numpy(wanted), (36,), torch.from_numpy(gamma.copy()), parts.epsilon).numpy()
            gamma = np.ones(36, np.float32)
        step = np.abs(wanted * gamma).max(axis=1, keepdims=True) / 127
        assert (np.abs(got - wanted) * gamma <= 0.502 * step).all() and np.abs(got - wanted).max() > 0
    if LAST in layers:
        said = HostLayers(deep).head(torch.from_numpy(session.states(LAST, 7, 3))).numpy()
        assert np.abs(said - result.logits).max() < 0.02 * np.abs(result.logits).max()


def test_states_change_no_bit(session, deep):
    wanted = [session.prefill(TOKENS[:8], logits=True), session.verify(TOKENS[8:11], [-1, -1, 1], logits=True)]
    cache = session.kv_bytes()
    session.rollback(0)
    session.keep_states((LAST, 1, 3))
    got = [session.prefill(TOKENS[:8], logits=True), session.verify(TOKENS[8:11], [-1, -1, 1], logits=True)]
    for one, other in zip(wanted, got, strict=True):
        np.testing.assert_array_equal(bits(one), bits(other))
    np.testing.assert_array_equal(session.kv_bytes(), cache)
    assert got[0].counters["stream_bytes"] == wanted[0].counters["stream_bytes"]


def test_the_cache_stays_when_states_are_asked_for_later(session):
    session.prefill(TOKENS[:8])
    wanted = bits(session.verify(TOKENS[8:11], logits=True))
    for layers in ((LAST,), (0, LAST), ()):
        session.keep_states(layers)
        np.testing.assert_array_equal(bits(session.verify(TOKENS[8:11], logits=True)), wanted)


def test_states_may_lie_before_the_cache(session, deep):
    session.keep_states((LAST, 1))
    device = GoldenDevice(deep.config, memory_bytes=2 * memory_needed(deep, states=True))
    hole = device.allocate(session.runner.kept.total_bytes)
    with Session(device, deep) as other:
        hole.freebuffer()
        other.keep_states((LAST, 1))
        assert other.runner._states.device_address < other.runner.kv.device_address
        for one in (session, other):
            one.prefill(TOKENS[:5])
            one.run_ahead(TOKENS[5:6], 2)
        np.testing.assert_array_equal(bits(session.decode(5, logits=True)), bits(other.decode(5, logits=True)))
        np.testing.assert_array_equal(session.kv_bytes(), other.kv_bytes())
        for layer in (LAST, 1):
            np.testing.assert_array_equal(session.states(layer, 0, 6), other.states(layer, 0, 6))


@pytest.mark.parametrize(("hidden", "packs"), [(48, {"nano": 2, "tiny": 1}), (24, {"nano": 1, "tiny": 2})])
def test_how_states_are_cut_changes_no_bit(tmp_path, hidden, packs):
    folder, results = write_checkpoint(tmp_path / "model", hidden=hidden, heads=2, kv_heads=2, layers=2), []
    for name, pack in packs.items():
        program = compile_directory(folder, preset(name))
        assert program.kv.pack == pack
        with Session(GoldenDevice(program.config, memory_bytes=memory_needed(program, states=True)), program) as session:
            session.keep_states((LAST, 1))
            session.prefill(TOKENS[:5])
            results.append(np.stack([session.states(layer, 0, 5) for layer in (1, LAST)]))
    assert np.abs(results[0]).min(axis=(0, 1)).max() > 0
    np.testing.assert_array_equal(*results)


def test_a_row_that_leaves_early_goes_through_norm_and_head(session, deep, monkeypatch):
    session.prefill(TOKENS[:5])
    wanted = bits(session.verify(TOKENS[5:8], logits=True))
    taken = stream_of(session, monkeypatch)
    session.verify(TOKENS[5:8])
    host, states = HostLayers(deep), taken[-1]
    for layer in (1, 3):
        session.rollback(5)
        # Rows behind each other, in as many calls as there are.
        for start, end in ((5, 6), (6, 8)):
            said = session.run_ahead(TOKENS[start:end], layer, logits=True).logits
            exact = host.head(host.norm(torch.from_numpy(states[layer][end - 6]))).numpy()
            assert np.abs(said - exact).max() < 2e-3 * np.abs(exact).max()
    session.rollback(5)
    before = session.run_ahead(TOKENS[5:6], 2)
    assert before.counters["stream_bytes"] < 0.8 * session.verify(TOKENS[5:6]).counters["stream_bytes"]
    np.testing.assert_array_equal(bits(session.verify(TOKENS[5:8], logits=True)), wanted)


def test_rows_run_ahead_in_more_than_one_pass(session):
    """A prompt longer than a pass says the same as its tokens one by one."""
    many = session.run_ahead(TOKENS[:8], 2, logits=True)
    session.rollback(0)
    for token in TOKENS[:8]:
        one = session.run_ahead([token], 2, logits=True)
    np.testing.assert_array_equal(bits(many), bits(one))
    assert many.counters["passes"] == 4 and session.length == 0


def test_tokens_do_not_see_rows_that_enter_late(session):
    session.prefill(TOKENS[:5])
    wanted = bits(session.verify(TOKENS[5:7], logits=True))
    session.keep_states((2,))
    got = session.verify_between(TOKENS[5:7], [-1, 0, 1], [2], lambda row, states: 3 * states[1], logits=True)
    np.testing.assert_array_equal(bits(got)[:2], wanted)
    session.commit([0, 1])
    assert session.length == 7


def test_a_row_that_enters_late_is_its_vector_in_the_layers_above(session, deep, monkeypatch):
    """What enters after two layers and then one is what a row would have been there, had the host put it in."""
    session.keep_states((1, 2))
    session.prefill(TOKENS[:4])
    vectors = np.random.default_rng(0).standard_normal((2, 36)).astype(np.float32)
    taken, seen = stream_of(session, monkeypatch), []

    def content(row, states):
        seen.append((row, len(states)))
        return vectors[row - 1]

    result = session.verify_between(TOKENS[4:5], [-1, 0, 1], [1, 2], content, logits=True)
    assert seen == [(1, 1), (2, 2)] and [len(one[0]) for one in taken] == [1, 2, 3]
    # Between two doorbells nothing changes what is there already.
    np.testing.assert_array_equal(taken[1][0], np.stack([taken[0][1][0], vectors[0]]))
    np.testing.assert_array_equal(taken[2][0], np.concatenate([taken[1][1], vectors[1:]]))
    assert len(set(result.logits[:, 7].tolist())) == 3
    # One read of the weights: only the norms where the pass is cut are read twice.
    whole = session.verify(TOKENS[4:5]).counters["stream_bytes"]
    assert whole < result.counters["stream_bytes"] <= whole + 2 * 8 * deep.config.word_bytes * 36


def test_two_stages_keep_states_and_leave_early_too(tmp_path, session):
    """The shortlist comes between the last norm and the head, and none of it depends on what is stored there."""
    listed = compile_directory(write_checkpoint(tmp_path / "deep", layers=LAYERS), preset("nano"), shortlist=True)
    device = GoldenDevice(listed.config, memory_bytes=memory_needed(listed, states=True))
    with Session(device, listed, head="two-stage") as two:
        two.prefill(TOKENS[:4])
        wanted = two.verify(TOKENS[4:6]).top.tobytes()
        two.keep_states((LAST, 2))
        two.rollback(0)
        session.keep_states((LAST, 2))
        for one in (session, two):
            one.prefill(TOKENS[:4])
        assert two.verify(TOKENS[4:6]).top.tobytes() == wanted
        session.verify(TOKENS[4:6])
        for layer in (LAST, 2):
            np.testing.assert_array_equal(two.states(layer, 0, 6), session.states(layer, 0, 6))
        exact, found = (one.run_ahead(TOKENS[4:5], 2, logits=one is session) for one in (session, two))
        np.testing.assert_array_equal(found.top["logit"].view(np.uint32), bits(exact)[:, found.top["index"][0]])
        assert found.counters["stream_bytes"] < exact.counters["stream_bytes"]


@pytest.mark.parametrize(("call", "sentence"), [
    (lambda s: s.keep_states((4,)), "Layer 4 is not one of 0 to 3, or -1 for the last states"),
    (lambda s: s.states(1, 0, 2), "The states of layer 1 are not kept, only those of 2"),
    (lambda s: s.states(2, 60, 5), "Slots 60 to 64 are not among the context's 64"),
    (lambda s: s.run_ahead([1], 4), "Exit 4 is outside 1 to 3"),
    (lambda s: s.run_ahead([1], 0), "Exit 0 is outside 1 to 3"),
    (lambda s: s.run_ahead(TOKENS[:20].repeat(3), 1), "60 tokens do not fit: 5 of the context's 64"),
    (lambda s: s.verify_between([1], [-1, 0], [0], None), "Rows must enter after 1 to 3 layers"),
    (lambda s: s.verify_between([1], [-1, 0, 0], [2, 1], None), "none after fewer than the one before"),
    (lambda s: s.verify_between([1, 2], [-1, 0, 0, 0], [2, 2], None), "4 nodes does not fit a pass of 3 rows"),
    (lambda s: s.verify_between([1], [-1, 0], [2], lambda row, states: np.zeros(3, np.float32)), r"must be \(n, 36\)"),
    (lambda s: s.verify_between([1], [-1, 0], [1], lambda row, states: np.zeros(36, np.float32)),
     "Rows cannot enter after layer 1, since its states are not kept"),
])
def test_wrong_calls_are_refused(session, call, sentence):
    session.keep_states((2,))
    session.prefill(TOKENS[:5])
    with pytest.raises(SessionError, match=sentence):
        call(session)
    assert session.length == 5
    session.verify(TOKENS[5:7])


def test_waiting_rows_left_at_one_layer(session):
    session.run_ahead([5], 1)
    with pytest.raises(SessionError, match="Rows that left at layer 1 are waiting, so none can leave at layer 2"):
        session.run_ahead([6], 2)
    session.extend([5])
    session.run_ahead([6], 2)


def test_a_checked_session_compares_states_too(deep):
    def device():
        return GoldenDevice(deep.config, memory_bytes=memory_needed(deep, states=True))

    with CheckedSession(device(), deep) as checked:
        checked.keep_states((1,))
        checked.run_ahead(TOKENS[:4], 2)
        checked.prefill(TOKENS[:5])
        checked.verify_between(TOKENS[5:6], [-1, 0], [1], lambda row, states: states[0])
        assert checked.passes == 2 * 2 + 2 + 2 - 1
        broken = checked.reference.runner._excerpts[0, LAYERS, True, True, True][1].view(DESCRIPTOR)
        address = checked.reference.runner._states.device_address - checked.reference.runner.kv.device_address
        broken["address"][(broken["op"] == Op.KV_STORE) & (broken["address"] >= address)] += deep.config.beat_bytes
        with pytest.raises(Mismatch, match="column 0 of row 0's state after 1 layers is"):
            checked.verify([5])
