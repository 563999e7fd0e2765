"""The part of a DSP48E2 that hw/dsp_chain.py uses, after Xilinx UG579: stands in for the primitive in simulation."""

from amaranth.hdl import C, Elaboratable, Module, Mux, Signal, Value, signed

__all__ = ["Dsp48e2"]

#: Attributes that the model is of; everything else it does not know.
ATTRIBUTES = {
    "AREG": 2, "ACASCREG": 2, "BREG": 1, "BCASCREG": 1, "DREG": 0, "ADREG": 1, "CREG": 1, "MREG": 1, "PREG": 1,
    "INMODEREG": 0, "OPMODEREG": 1, "ALUMODEREG": 0, "CARRYINREG": 0, "CARRYINSELREG": 0,
    "AMULTSEL": "AD", "BMULTSEL": "B", "PREADDINSEL": "A", "USE_MULT": "MULTIPLY", "USE_SIMD": "ONE48",
}
WIDTHS = {
    "CLK": 1, "A": 30, "B": 18, "C": 48, "D": 27, "CARRYIN": 1, "CARRYINSEL": 3, "ALUMODE": 4, "INMODE": 5, "OPMODE": 9,
    "PCIN": 48, **{f"CE{name}": 1 for name in ("A1", "A2", "B1", "B2", "C", "D", "AD", "M", "P", "CTRL", "ALUMODE", "CARRYIN",
                                               "INMODE")},
    **{f"RST{name}": 1 for name in ("A", "B", "C", "D", "M", "P", "CTRL", "ALUMODE", "ALLCARRYIN", "INMODE")},
}


class Dsp48e2(Elaboratable):
    """Takes what an ``Instance`` takes. Resets must be 0, as nothing here looks at them."""

    def __init__(self, kind: str, **members: object):
        assert kind == "DSP48E2"
        assert {name[2:]: value for name, value in members.items() if name.startswith("p_")} == ATTRIBUTES
        self.inputs = {name[2:]: Value.cast(value) for name, value in members.items() if name.startswith("i_")}
        self.outputs = {name[2:]: Value.cast(value) for name, value in members.items() if name.startswith("o_")}
        for name, value in self.inputs.items():
            assert len(value) == WIDTHS[name], f"{name} has {WIDTHS[name]} bits, not {len(value)}"
        assert set(self.outputs) == {"P", "PCOUT"}

    def elaborate(self, platform) -> Module:
        m, pins = Module(), self.inputs
        a1, a2 = Signal(signed(30), reset_less=True), Signal(signed(30), reset_less=True)
        b2, ad = Signal(signed(18), reset_less=True), Signal(signed(27), reset_less=True)
        product, total = Signal(signed(45), reset_less=True), Signal(signed(48), reset_less=True)
        opmode = Signal(9)
        inmode = pins["INMODE"]
        a = Mux(inmode[0], a1, a2)[:27].as_signed()
        pre_a, pre_d = Mux(inmode[1], 0, a), Mux(inmode[2], pins["D"].as_signed(), 0)
        for enable, target, value in (
            ("CEA1", a1, pins["A"]), ("CEA2", a2, a1), ("CEB2", b2, pins["B"]),
            ("CEAD", ad, Mux(inmode[3], pre_d - pre_a, pre_d + pre_a)), ("CEM", product, ad * b2),
            ("CECTRL", opmode, pins["OPMODE"]),
        ):
            with m.If(pins[enable]):
                m.d.sync += target.eq(value)
        x, y, z = Signal(signed(48)), Signal(signed(48)), Signal(signed(48))
        # The product comes in two parts, of which X and Y must take one each: X alone stands for both here.
        with m.Switch(opmode[:4]):
            with m.Case(0b0101):
                m.d.comb += x.eq(product)
        with m.Switch(opmode[4:7]):
            with m.Case(0b001):
                m.d.comb += z.eq(pins.get("PCIN", C(0, 48)))
            with m.Case(0b010):
                m.d.comb += z.eq(total)
        with m.If(pins["CEP"]):
            m.d.sync += total.eq(z + x + y + pins["CARRYIN"])
        m.d.comb += [self.outputs["P"].eq(total), self.outputs["PCOUT"].eq(total)]
        return m
