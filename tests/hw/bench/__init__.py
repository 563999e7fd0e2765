"""Benches of hardware units: cocotb on Verilator, one build per unit, cycles checked as well as data.

A unit has two test files. ``tests/hw/test_dot.py`` runs under pytest::

    SETS = {"small": dict(lanes=1), "odd": dict(lanes=3), "wide": dict(lanes=8)}

    def test_matches_twin(simulate):
        simulate({name: Dot(**sizes) for name, sizes in SETS.items()}, "tests.hw.dot_bench")

``tests/hw/dot_bench.py`` runs in the simulator. The top holds all parameter sets; component ``odd`` has the
ports ``odd_clk``, ``odd_rst``, ``odd__i__valid``, ``odd__i__payload`` and so on (struct and array ports are
flat words, see ``pack_array``). Only a started component costs time::

    @cocotb.test()
    @cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
    async def matches(dut, name, traffic):
        await start(dut, name)                                    # clock and reset; all inputs 0
        dut.odd__scale.value = 3                                  # a port that is not a stream
        result = await exchange(dut, name, words, traffic=traffic)
        assert result.o.payloads == expected
        check_rigid_pipe(result, Dot.LATENCY)                     # every cycle, in every pattern

``exchange_all(dut, name, {"i": words, "weights": beats}, {"o": count}, traffic=...)`` serves several streams.
Its result has, per stream, the accepted ``cycles`` and ``payloads`` and the ``valid`` and ``ready`` of every
cycle, from which a unit that is no rigid pipe checks its own cycle model with ``check_flow``.

`simulate` passes further keyword arguments to the bench as environment variables ``BENCH_<NAME>``. ``SEED``
(default 1) seeds the traffic and the vectors; a failure prints it.
"""
