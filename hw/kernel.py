"""Fixed-latency pipelines without handshake, and the wrapper that makes a stream unit of one."""

from amaranth.hdl import Cat, EnableInserter, Module, ShapeLike, Signal, Value, ValueLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Kernel", "KernelStream", "delay", "register"]


def register(m: Module, value: ValueLike, *, name: str, cycles: int = 1) -> Value:
    """``value`` as it was ``cycles`` clocks ago. Pipeline registers need no reset."""
    return _chain(m, value, name, cycles, reset_less=True)


def delay(m: Module, value: ValueLike, *, name: str, cycles: int = 1) -> Value:
    """``value`` as it was ``cycles`` clocks ago, zero after reset: for flags, unlike :func:`register`."""
    return _chain(m, value, name, cycles, reset_less=False)


def _chain(m: Module, value: ValueLike, name: str, cycles: int, *, reset_less: bool) -> Value:
    for _ in range(cycles):
        held = Signal.like(value, name=name, reset_less=reset_less)
        m.d.sync += held.eq(value)
        value = held
    return value


class Kernel(wiring.Component):
    """A pipeline that moves as a whole.

    ``y`` shows the result ``LATENCY`` enabled clock edges after its inputs were there; one set of inputs
    is taken at every enabled edge. While ``en`` is low nothing changes. What inputs mean is for the
    surroundings to know: there is no valid or ready inside.

    Subclasses set ``LATENCY`` (cycles) and write their stages in :meth:`pipeline`, as if always enabled.

    Parameters
    ----------
    ports : dict
        Members besides ``en``: inputs of any name, the output ``y`` and further outputs.

    Members
    -------
    en : In(1)
        Every stage advances at this edge.

    """

    LATENCY: int

    def __init__(self, ports: dict[str, wiring.Member]):
        if "en" in ports:
            raise ValueError("A kernel has its port en already; ports must not name it")
        if "y" not in ports:
            raise ValueError(f"A kernel needs an output y, ports has only {', '.join(ports)}")
        super().__init__({"en": In(1), **ports})

    def shapes(self, flow: wiring.Flow) -> dict[str, ShapeLike]:
        """Name and shape of each input (``In``) or output (``Out``), without ``en``, in declared order."""
        return {name: member.shape for name, member in self.signature.members.items()
                if member.flow == flow and name != "en"}

    def pipeline(self, m: Module) -> None:
        """Add the stages to ``m``, each register in the domain ``sync``."""
        raise NotImplementedError

    def elaborate(self, platform) -> Module:
        m = Module()
        self.pipeline(m)
        return EnableInserter(self.en)(m)


class KernelStream(wiring.Component):
    """A kernel as a stream unit: results leave in the order of their operands.

    Latency: the kernel's. Throughput: one per cycle. Under a stall the whole pipeline stands still.
    ``i.ready`` follows ``o.ready`` combinationally.

    Parameters
    ----------
    kernel : Kernel
        Becomes a submodule.

    Members
    -------
    i : In(stream)
        A struct of the kernel's inputs.
    o : Out(stream)
        ``y``; if the kernel has more outputs, a struct of them all.

    Attributes
    ----------
    LATENCY : int
        Cycles from the accepted input to ``o.valid`` when nothing stalls.

    """

    def __init__(self, *, kernel: Kernel):
        if not isinstance(kernel, Kernel):
            raise ValueError(f"kernel must be a Kernel, not {kernel!r}")
        self.kernel = kernel
        self.LATENCY = kernel.LATENCY
        outputs = kernel.shapes(Out)
        self._single = len(outputs) == 1
        super().__init__({
            "i": In(stream.Signature(data.StructLayout(kernel.shapes(In)))),
            "o": Out(stream.Signature(outputs["y"] if self._single else data.StructLayout(outputs))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.kernel = kernel = self.kernel
        full = Signal(self.LATENCY)    # bit n: stage n holds a result on its way
        m.d.comb += [
            kernel.en.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(kernel.en),
            self.o.valid.eq(full[-1]),
        ]
        m.d.comb += [getattr(kernel, name).eq(self.i.p[name]) for name in kernel.shapes(In)]
        if self._single:
            m.d.comb += self.o.p.eq(kernel.y)
        else:
            m.d.comb += [self.o.p[name].eq(getattr(kernel, name)) for name in kernel.shapes(Out)]
        with m.If(kernel.en):
            m.d.sync += full.eq(Cat(self.i.valid, full[:-1]))
        return m
