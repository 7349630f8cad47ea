"""Where the octets lie that a request names."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl import protocol
from hdl.loadable_counter import LoadableCounter


__all__ = ["Address"]


class Address(wiring.Component):
    """The address of an octet, which comes octet by octet, and then counts.

    Parameters
    ----------
    memory_bytes, counter_bytes : int
        Octets that exist from address 0, and from address `protocol.COUNTERS`.

    Members
    -------
    shift, octet : In(1), In(8)
        The next octet of the address comes, the lowest first.
    step : In(1)
        The address after this is wanted; not together with ``shift``.
    address : Out(24)
        The highest bit selects the counters.
    write : In(1)
        Whether it is to be written.
    exists : Out(1)
        Whether it can be read, or written.
    """
    def __init__(self, *, memory_bytes, counter_bytes):
        if not 0 < counter_bytes <= memory_bytes <= protocol.COUNTERS:
            raise ValueError(f"'counter_bytes' must be between 1 and 'memory_bytes', and that at "
                             f"most {protocol.COUNTERS}, not {counter_bytes!r}, {memory_bytes!r}")
        self._memory_bytes = memory_bytes
        self._counter_bytes = counter_bytes
        self._width = 8 * protocol.ADDRESS_OCTETS

        super().__init__({
            "shift":   In(1),
            "octet":   In(8),
            "step":    In(1),
            "address": Out(self._width),
            "write":   In(1),
            "exists":  Out(1),
        })

    def elaborate(self, platform):
        m = Module()

        m.submodules.counter = counter = LoadableCounter(width=self._width, up=True)
        m.d.comb += counter.value.eq(Cat(counter.count[8:], self.octet))
        m.d.comb += counter.load.eq(self.shift)
        m.d.comb += counter.enable.eq((self.shift | self.step).replicate(self._width))
        m.d.comb += self.address.eq(counter.count)

        place = counter.count[:-1]
        m.d.comb += self.exists.eq(_is_below(place, self._memory_bytes))
        with m.If(counter.count[-1]):
            m.d.comb += self.exists.eq(_is_below(place, self._counter_bytes) & ~self.write)

        return m


def _is_below(value, limit):
    """Return whether ``value`` is less; of a power of two, without a chain of carries."""
    if limit & limit - 1:
        return value < limit
    return ~value[exact_log2(limit):].any()
