"""Sessions on the golden device: the same tokens give the same bits however they are run."""

import numpy as np
import pytest

from terntable.host.compiler import compile_directory
from terntable.host.devices.golden import GoldenDevice
from terntable.host.errors import DeviceFault, SessionError
from terntable.host.loaded import memory_needed
from terntable.host.session import Session
from terntable.hw.spec.config import preset
from terntable.hw.spec.program import Fault
from tests.host.tiny_checkpoint import write_checkpoint

TOKENS = np.random.default_rng(3).integers(2, 97, 20)


def bits(result):
    """Logits as bytes, for comparisons of bits."""
    return result.logits.view(np.uint32)


def plain(session, tokens):
    """Logits after each token, decoded one by one from an empty sequence."""
    session.rollback(0)
    return np.concatenate([bits(session.decode(int(token), logits=True)) for token in tokens])


@pytest.fixture(scope="module")
def decoded(loaded, program):
    """Logits after each of TOKENS, decoded one by one."""
    with Session(loaded.device, program, loaded=loaded) as opened:
        return plain(opened, TOKENS)


def continued(session, tokens):
    """Logits after tokens that follow the sequence, which stays as it was."""
    length = session.length
    result = session.prefill(tokens, logits=True)
    session.rollback(length)
    return bits(result)[0]


@pytest.mark.parametrize("length", [1, 2, 3, 4, 20])
def test_prefill_of_any_length_gives_the_bits_of_decoding(session, decoded, length):
    wanted = decoded[length - 1]
    result = session.prefill(TOKENS[:length], logits=True)
    np.testing.assert_array_equal(bits(result)[0], wanted)
    assert session.length == length
    assert result.counters["passes"] == -(-length // 3)


def test_best_and_top_are_those_of_the_logits(session):
    result = session.prefill(TOKENS, logits=True)
    order = np.argsort(-result.logits[0], kind="stable")[:4]
    np.testing.assert_array_equal(result.top["index"][0], order)
    np.testing.assert_array_equal(result.top["logit"][0], result.logits[0, order])
    assert result.best.tolist() == [order[0]]
    assert len(set(np.round(result.logits[0], 3))) > 50, "a constant model would pass everything here"


def test_logits_are_fetched_only_on_request(session):
    before = session.prefill(TOKENS[:3])
    assert before.logits is None and before.top.shape == (1, 4)


def test_a_verified_chain_has_the_bits_of_decoding(session, decoded):
    wanted = decoded
    session.prefill(TOKENS[:4])
    result = session.verify(TOKENS[4:7], logits=True)
    np.testing.assert_array_equal(bits(result), wanted[4:7])
    assert session.length == 4
    session.commit([0, 1])
    assert session.length == 6
    np.testing.assert_array_equal(bits(session.decode(int(TOKENS[6]), logits=True))[0], wanted[6])


@pytest.mark.parametrize(("parents", "path"),
                         [([-1, -1, 1], [1, 2]), ([-1, 0, 0], [0, 2]), ([-1, -1, -1], [2]),
                          ([-1, -1, 0], [0, 2])])
def test_a_committed_branch_has_the_bits_of_decoding(session, parents, path):
    tree = np.array([40, 50, 60])
    session.prefill(TOKENS[:5])
    result = session.verify(tree, parents, logits=True)
    for node in range(3):
        way = [node] if parents[node] < 0 else [parents[node], node]
        np.testing.assert_array_equal(bits(result)[node], continued(session, tree[way]),
                                      err_msg=f"node {node}")
    wanted = continued(session, [*tree[path], 70])
    session.verify(tree, parents)
    counters = session.commit(path)
    assert counters["passes"] == 1 and counters["stream_bytes"] == 0
    assert session.length == 5 + len(path)
    np.testing.assert_array_equal(bits(session.decode(70, logits=True))[0], wanted)


def test_committing_the_first_nodes_moves_nothing(session):
    session.prefill(TOKENS[:5])
    session.verify([40, 50, 60])
    assert session.commit([0, 1, 2]) == {} and session.length == 8


def test_committing_nothing_and_rolling_back_forget(session, decoded):
    session.prefill([*TOKENS[:4], 50, 60])
    session.rollback(4)
    session.verify([9, 9, 9])
    assert session.commit([]) == {} and session.length == 4
    np.testing.assert_array_equal(bits(session.prefill(TOKENS[4:6], logits=True))[0], decoded[5])


def test_vectors_equal_to_embedding_rows_give_the_bits_of_tokens(session, program):
    stride = program.embed_stride
    table = program.embed.reshape(-1, stride)[:, :2 * program.shape.hidden].copy().view(np.float16)
    wanted = bits(session.prefill(TOKENS, logits=True))
    session.rollback(0)
    vectors = table[TOKENS].astype(np.float32)
    np.testing.assert_array_equal(bits(session.prefill(embeddings=vectors, logits=True)), wanted)
    session.rollback(19)
    np.testing.assert_array_equal(bits(session.verify(embeddings=vectors[19:], logits=True)), wanted)


def test_two_sessions_on_one_device_do_not_disturb_each_other(session, decoded, loaded, program):
    other_tokens = TOKENS[::-1].copy()
    with Session(loaded.device, program, loaded=loaded) as other:
        other_wanted = plain(other, other_tokens[:5])
        other.rollback(0)
        for n in range(5):
            np.testing.assert_array_equal(bits(session.decode(int(TOKENS[n]), logits=True))[0], decoded[n])
            np.testing.assert_array_equal(bits(other.decode(int(other_tokens[n]), logits=True))[0],
                                          other_wanted[n])


def test_the_context_can_be_filled_and_no_more(session):
    session.prefill(np.resize(TOKENS, 63))
    session.verify([5])
    with pytest.raises(SessionError, match="2 tokens do not fit: 63 of the context's 64 are in use"):
        session.prefill([5, 6])
    with pytest.raises(SessionError, match="3 tokens do not fit"):
        session.verify([5, 6, 7], [-1, -1, -1])
    session.decode(5)
    with pytest.raises(SessionError, match="1 tokens do not fit: 64"):
        session.decode(5)


@pytest.mark.parametrize(("call", "sentence"), [
    (lambda s: s.prefill([]), r"shape \(0,\), but must be one row of at least one token"),
    (lambda s: s.prefill([[1]]), r"shape \(1, 1\)"),
    (lambda s: s.prefill([3, 97]), "Token id 97 is outside the vocabulary, 0 to 96"),
    (lambda s: s.prefill([-1]), "Token id -1 is outside"),
    (lambda s: s.prefill([1.5]), "whole numbers, not float64"),
    (lambda s: s.prefill(), "either tokens or embeddings"),
    (lambda s: s.prefill([1], embeddings=np.zeros((1, 36), np.float32)), "either tokens or embeddings"),
    (lambda s: s.prefill(embeddings=np.zeros((1, 35), np.float32)), r"must be \(n, 36\)"),
    (lambda s: s.prefill(embeddings=np.zeros((1, 36))), "must be float32, not float64"),
    (lambda s: s.prefill(embeddings=np.full((1, 36), np.nan, np.float32)), "finite"),
    (lambda s: s.verify([1, 2, 3, 4]), "4 nodes does not fit a pass of 3 rows"),
    (lambda s: s.verify([1, 2], [-1]), "1 parents were given for 2 nodes"),
    (lambda s: s.verify([1, 2], [-1, 1]), "parent of node 1 is 1, but must be -1 to 0"),
    (lambda s: s.commit([0]), "Node 0 is not one of the 0 nodes verified last"),
    (lambda s: s.rollback(6), "rollback to 6 is impossible: the session holds 5 tokens"),
    (lambda s: s.rollback(-1), "rollback to -1"),
])
def test_wrong_calls_are_refused_and_change_nothing(session, call, sentence):
    session.prefill(TOKENS[:5])
    before = session.kv_bytes()
    with pytest.raises(SessionError, match=sentence):
        call(session)
    assert session.length == 5
    np.testing.assert_array_equal(session.kv_bytes(), before)


@pytest.mark.parametrize(("path", "sentence"),
                         [([3], "Node 3 is not one of the 3"),
                          ([1], "Node 1 follows 0 in the verified tree, not -1"),
                                                ([0, 2, 1], "Node 1 follows 0 in the verified tree, not 2")])
def test_a_path_that_is_none_is_refused(session, path, sentence):
    session.verify([1, 2, 3], [-1, 0, 0])
    with pytest.raises(SessionError, match=sentence):
        session.commit(path)
    session.commit([0, 2])
    assert session.length == 2


def test_a_fault_is_named_and_leaves_the_session_usable(session, decoded, loaded):
    session.prefill(TOKENS[:3])
    descriptors = loaded._buffers["program"]
    kept = descriptors[3 * 32]
    descriptors[3 * 32] = 77
    try:
        with pytest.raises(DeviceFault, match="stopped at descriptor 3 with BAD_DESCRIPTOR") as caught:
            session.decode(int(TOKENS[3]))
    finally:
        descriptors[3 * 32] = kept
    assert (caught.value.cause, caught.value.index) == (Fault.BAD_DESCRIPTOR, 3)
    assert session.length == 3
    assert loaded.device.read_register("status") == 0
    np.testing.assert_array_equal(bits(session.decode(int(TOKENS[3]), logits=True))[0], decoded[3])


def test_a_vector_that_overflows_is_a_numeric_fault(session):
    with pytest.raises(DeviceFault, match="NUMERIC"):
        session.prefill(embeddings=np.full((4, 36), 3e38, np.float32))
    assert session.length == 0


@pytest.mark.parametrize(("hidden", "packs"), [(48, {"nano": 2, "tiny": 1}), (24, {"nano": 1, "tiny": 2})])
def test_how_heads_share_a_record_changes_no_bit(tmp_path, hidden, packs):
    """Heads of 24 columns in pairs on `nano` and alone on `tiny`, of 12 the other way round; a committed branch is moved."""
    folder, results = write_checkpoint(tmp_path / "model", hidden=hidden, heads=2, kv_heads=2, layers=1), []
    for name, pack in packs.items():
        program = compile_directory(folder, preset(name))
        assert program.kv.pack == pack
        device = GoldenDevice(program.config, memory_bytes=memory_needed(program))
        with Session(device, program) as session:
            session.prefill(TOKENS[:5])
            tree = bits(session.verify([40, 50, 60], [-1, -1, 1], logits=True))
            assert session.commit([1, 2])["passes"] == 1
            results.append(np.concatenate([tree, bits(session.decode(70, logits=True))]))
    np.testing.assert_array_equal(*results)


def test_a_program_for_another_configuration_is_refused(program):
    with pytest.raises(SessionError, match="compiled for nano, but device golden is a tiny"):
        Session(GoldenDevice(preset("tiny"), memory_bytes=1 << 20), program)


@pytest.fixture(scope="module")
def listed(checkpoint):
    """The model with a shortlist."""
    return compile_directory(checkpoint, preset("nano"), shortlist=True)


def test_two_stages_give_exact_logits_of_what_they_find(listed, session):
    """The best of the shortlist have the bits of the exact head; full logits are its, too, and prompts go through both."""
    with Session(GoldenDevice(listed.config, memory_bytes=memory_needed(listed)), listed, head="two-stage") as two:
        found = 0
        for token in TOKENS:
            got, want = two.decode(int(token)), session.decode(int(token), logits=True)
            np.testing.assert_array_equal(got.top["logit"][0].view(np.uint32), bits(want)[0][got.top["index"][0]])
            found += int(got.best[0]) == int(want.best[0])
            assert got.counters["stream_bytes"] < want.counters["stream_bytes"]
        assert found > 15, "a list of another row would seldom hold the best"
        two.rollback(0)
        full = two.prefill(TOKENS[:4], logits=True)
        session.rollback(0)
        wanted = session.prefill(TOKENS[:4], logits=True)
        np.testing.assert_array_equal(bits(full), bits(wanted))
        assert full.top.tobytes() == wanted.top.tobytes()


def test_a_program_with_a_shortlist_has_the_exact_head_too(listed, session):
    with Session(GoldenDevice(listed.config, memory_bytes=memory_needed(listed)), listed) as exact:
        got, want = exact.prefill(TOKENS), session.prefill(TOKENS)
        assert got.top.tobytes() == want.top.tobytes() and got.counters["stream_bytes"] == want.counters["stream_bytes"]


def test_heads_are_checked(loaded, program):
    with pytest.raises(SessionError, match="The head must be exact or two-stage, not 'other'"):
        Session(loaded.device, program, loaded=loaded, head="other")
    with pytest.raises(SessionError, match="The program has no shortlist, which the two-stage head needs"):
        Session(loaded.device, program, loaded=loaded, head="two-stage")
