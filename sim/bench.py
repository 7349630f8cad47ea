"""What a cocotb bench needs to drive a component: clocks, reset, and both ends of a stream.

A payload is an integer, whatever its shape: `pack` makes one from the fields of a layout, and
`unpack` takes it apart.
"""

import random

import cocotb
from cocotb.triggers import RisingEdge, Timer


__all__ = ["TIMEOUT", "pack", "receive", "reset", "send", "start", "unpack"]


TIMEOUT = 10_000  # cycles that one payload may wait


async def start(dut, *, period_ns=8):
    """Start the clocks, and hold reset for one cycle of ``clk``.

    A component with a domain ``fast`` gets its clock at twice the rate, every rising edge of
    ``clk`` a rising edge of ``fast_clk``. ``period_ns`` is that of ``clk``, a multiple of 4.
    """
    if period_ns % 4:
        raise ValueError(f"'period_ns' must be a multiple of 4, not {period_ns!r}")
    cocotb.start_soon(_tick(dut, period_ns // 4))
    await reset(dut)


async def reset(dut):
    """Hold reset, in every domain, over one rising edge of ``clk``."""
    resets = [getattr(dut, name) for name in ("rst", "fast_rst") if hasattr(dut, name)]
    for signal in resets:
        signal.value = 1
    await RisingEdge(dut.clk)
    await RisingEdge(dut.clk)
    for signal in resets:
        signal.value = 0


async def _tick(dut, quarter_ns):
    # One coroutine writes both clocks, so that no register sees one edge before the other.
    fast = getattr(dut, "fast_clk", None)
    while True:
        for slow_level, fast_level in ((1, 1), (1, 0), (0, 1), (0, 0)):
            dut.clk.value = slow_level
            if fast is not None:
                fast.value = fast_level
            await Timer(quarter_ns, unit="ns")


async def send(dut, stream, payloads, *, stall=0.0, seed=0, timeout=TIMEOUT):
    """Put ``payloads`` on an input stream, idling a share ``stall`` of the cycles."""
    rng = random.Random(seed)
    valid, ready = getattr(dut, f"{stream}__valid"), getattr(dut, f"{stream}__ready")
    for index, payload in enumerate(payloads):
        valid.value = 0
        while rng.random() < stall:
            await RisingEdge(dut.clk)
        valid.value = 1
        getattr(dut, f"{stream}__payload").value = payload
        await RisingEdge(dut.clk)
        waited = 0
        while not ready.value:
            waited += 1
            assert waited < timeout, f"'{stream}' did not take payload {index} in {timeout} cycles"
            await RisingEdge(dut.clk)
    valid.value = 0


async def receive(dut, stream, count, *, stall=0.0, seed=1, timeout=TIMEOUT):
    """Take ``count`` payloads from an output stream, refusing a share ``stall`` of the cycles.

    Payloads are returned as unsigned integers.
    """
    rng = random.Random(seed)
    valid, ready = getattr(dut, f"{stream}__valid"), getattr(dut, f"{stream}__ready")
    payload = getattr(dut, f"{stream}__payload")
    payloads, waited = [], 0
    while len(payloads) < count:
        take = rng.random() >= stall
        ready.value = take
        await RisingEdge(dut.clk)
        if take and valid.value:
            payloads.append(payload.value.to_unsigned())
            waited = 0
        else:
            waited += 1
            assert waited < timeout, \
                f"'{stream}' made no payload {len(payloads)} in {timeout} cycles"
    ready.value = 0
    return payloads


def pack(layout, **fields):
    """Return the integer that stands for ``fields`` in a payload of the given layout."""
    return layout.const(fields).as_value().value


def unpack(layout, payload):
    """Return the fields of a payload of the given struct layout, as unsigned integers."""
    return {name: payload >> field.offset & (1 << field.width) - 1 for name, field in layout}
