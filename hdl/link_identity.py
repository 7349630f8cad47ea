"""What the board tells of itself."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl import protocol


__all__ = ["Identity"]


class Identity(wiring.Component):
    """Octet ``index``, counted from 1, of the reply to IDENTIFY, or to STATUS; combinational."""
    def __init__(self, *, config_hash, isa_version):
        self._constants = {"protocol": protocol.VERSION, "isa": isa_version,
                           "config_hash": config_hash}

        super().__init__({
            "index":      In(8),
            "state_only": In(1),
            "image_hash": In(32),
            "status":     In(8),
            "last_run":   In(8),
            "octet":      Out(8),
        })

    def elaborate(self, platform):
        m = Module()

        fields = Cat(Const(self._constants[name], 8 * size) if name in self._constants
                     else getattr(self, name) for name, size in protocol.IDENTITY.items())
        skipped = list(protocol.IDENTITY).index("status")  # all fields up to there are one octet
        place   = Signal(4)
        m.d.comb += place.eq(self.index + Mux(self.state_only, skipped - 1, -1))
        # Two steps of selection take fewer LUTs than one.
        octets = [Signal(8, name=f"octet_{word}") for word in range(4)]
        for word, octet in enumerate(octets):
            m.d.comb += octet.eq(fields.word_select(word, 32).word_select(place[:2], 8))
        with m.Switch(place[2:]):
            for word, octet in enumerate(octets):
                with m.Case(word):
                    m.d.comb += self.octet.eq(octet)

        return m
