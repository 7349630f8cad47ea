"""Reads the flash chip: wakes it, and streams bursts over four lines, or two."""

from dataclasses import dataclass

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.config import Config
from hdl.flash_pads import FlashPads, FlashSerializer, SimulatedPads
from hdl.flash_queue import FlashQueue
from hdl.loadable_counter import LoadableCounter


__all__ = ["FlashPads", "FlashReader", "FlashTiming", "SimulatedPads"]


# W25Q128JV and its family. From 2.7 V on every command but Read Data (03h) runs at 104 MHz; at
# full rate half a period must also be tSLCH = 5 ns, from select to the first edge.
SCK_LIMIT_HZ = 100_000_000
# The longest time that the chip may need after a command of the script: tRST, after a reset.
# Power-down needs tDP = 3 us to enter and tRES1 = 3 us to leave, status registers 50 ns.
SETTLE_NS = 30_000

# Sent on one line after reset, whatever the chip was doing. Each transaction is preceded by
# SETTLE_NS.
WAKE = (
    b"\xff",      # leaves continuous read: mode bits that are all ones
    b"\xab",      # leaves power-down
    b"\x66",      # allows a reset
    b"\x99",      # resets what is volatile
)
QUAD_ENABLE = (
    b"\x50",      # allows a write of volatile status
    b"\x31\x02",  # writes status register 2: quad enable
)


@dataclass(frozen=True, kw_only=True)
class Read:
    """How the chip is read over some lines.

    The last transaction of the script goes on as a read of one halfword, which is dropped.
    """

    script: tuple[bytes, ...]
    beats: int     # of address, mode bits and dummies
    released: int  # of these, the last ones, in which nobody drives the lines

    @property
    def bits(self):
        """Bits of the script."""
        return [byte >> 7 - bit & 1 for part in self.script for byte in part for bit in range(8)]

    @property
    def ends(self):
        """For each bit, whether its transaction ends."""
        return [bit == 8 * len(part) - 1 for part in self.script for bit in range(8 * len(part))]


# Fast Read Quad I/O, and Fast Read Dual I/O, of whose mode bits the last four may be anything.
READS = {
    4: Read(script=(*WAKE, *QUAD_ENABLE, b"\xeb"), beats=6 + 2 + 4, released=4),
    2: Read(script=(*WAKE, b"\xbb"), beats=12 + 4, released=2),
}
OPCODE_BEATS = 8
# Mode bits 5-4 of 10 tell the chip that the next transaction begins with its address. Where all
# are ones, it begins with a command.
MODE_CONTINUOUS, MODE_COMMAND = 0xa, 0xf

PADS_LATENCY = 2   # from a beat's core cycle to the one in which `FlashSerializer` has its data
QUEUE_LATENCY = 2  # from `FlashQueue` storing a halfword to it being offered


@dataclass(frozen=True, kw_only=True)
class FlashTiming:
    """When `FlashReader` fetches and shows halfwords, in core cycles.

    With the last part of a request accepted in cycle ``a``, halfword ``i`` of its burst is fetched
    in slot ``s[i]``: ``s[0]`` is the first cycle from ``a + first`` on in which a credit is free,
    ``s[i]`` the first from ``s[i - 1] + slot`` on. There are ``credits`` credits. A slot takes one,
    and it is free again in the cycle after the halfword was taken from ``halves``, where it is
    offered from ``s[i] + latency`` on, or from the cycle after the one before it was taken. The
    next request is accepted from ``s[last] + next`` on, a part in a cycle.
    """

    slot: int     # cycles between halfwords
    first: int    # from request to first slot
    latency: int  # from slot to valid
    next: int     # from last slot to next request
    credits: int  # halfwords in the queue, and on their way to it

    @classmethod
    def from_config(cls, config: Config):
        """Derive the timing of ``FlashReader(config)``."""
        beats = 2 if config.flash_full_rate else 1
        slot = 16 // config.flash_lines // beats
        command = READS[config.flash_lines].beats // beats
        opcode = 0 if config.flash_continuous else OPCODE_BEATS + 1
        return cls(
            slot=slot,
            first=opcode + command,
            latency=slot + PADS_LATENCY + QUEUE_LATENCY,
            next=slot + 2,  # clock stops, chip is deselected
            credits=config.flash_depth,
        )


class FlashReader(wiring.Component):
    """Streams bursts of halfwords from a flash chip of the W25Q128JV class, read on four lines, or
    on two where no others are wired.

    After reset the chip is woken and configured, whatever it was doing, which takes about 0.3 ms;
    the first request waits for it. `FlashTiming` tells when halfwords arrive. Where the queue is
    full, the clock of the chip pauses in the middle of the burst.

    A part that wants mode bits of Fxh, as the W25Q128JV-IQ does, has no continuous read and needs
    ``flash_continuous`` to be False. A chip left in continuous read is freed by the script, and
    by the ABh with which an iCE40 begins to configure itself.

    The domain ``fast`` has twice the rate of ``sync``, and every rising edge of ``sync`` is one
    of ``fast``.

    Parameters
    ----------
    config : Config
        Uses ``clock_hz``, ``flash_depth``, ``flash_lines``, ``flash_full_rate`` and
        ``flash_continuous``.

    Members
    -------
    requests : In(stream.Signature(16))
        A request is four halfwords, as they lie in the header of an image: the address of the
        first byte of a burst, and how many halfwords, at least one, the low half first. Both have
        24 bits. It is accepted when the burst before it was fetched.
    halves : Out(stream.Signature(16))
        Two bytes each, the first in the low bits.
    idle : Out(1)
        All bursts were fetched, and all of their halfwords were taken.
    awake : Out(1)
        The chip was woken and configured.
    busy : Out(1)
        The clock of the chip runs: command, address, dummy beats or data.
    pads : Out(FlashPads())
    """

    def __init__(self, config: Config):
        self._config = config
        self._timing = FlashTiming.from_config(config)
        self._read = READS[config.flash_lines]
        self._mode = C(MODE_CONTINUOUS if config.flash_continuous else MODE_COMMAND, 4)
        sck_hz = config.clock_hz * (2 if config.flash_full_rate else 1)
        if sck_hz > SCK_LIMIT_HZ:
            raise ValueError(f"The clock of the flash must be at most {SCK_LIMIT_HZ} Hz, "
                             f"not {sck_hz!r}")
        super().__init__({
            "requests": In(stream.Signature(16)),
            "halves":   Out(stream.Signature(16)),
            "idle":     Out(1),
            "awake":    Out(1),
            "busy":     Out(1),
            "pads":     Out(FlashPads()),
        })

    def elaborate(self, platform):
        requests = self.requests
        m = Module()

        m.submodules.serializer = serializer = FlashSerializer(
            full_rate=self._config.flash_full_rate, lines=self._config.flash_lines)
        m.submodules.queue = queue = FlashQueue(depth=self._timing.credits)
        wiring.connect(m, wiring.flipped(self.pads), serializer.pads)
        wiring.connect(m, wiring.flipped(self.halves), queue.halves)

        # The beats of the next core cycle
        select = Signal()
        clock  = Signal()
        drive  = Signal()
        quad   = Signal()
        bit    = Signal(reset_less=True)
        m.d.comb += Cat(serializer.select, serializer.clock).eq(Cat(select, clock))
        m.d.comb += Cat(serializer.drive, serializer.single).eq(Cat(drive, ~quad))
        m.d.comb += serializer.bit.eq(bit)
        m.d.comb += self.busy.eq(clock)

        # Address, then mode bits, which stay in the last nibble as the register is shifted
        command = Signal(24)
        beat    = len(serializer.nibbles)
        m.d.comb += serializer.nibbles.eq(command[-beat:])

        settle    = Signal(_settle_bits(self._config.clock_hz))
        script    = self._read.bits
        position  = Signal(range(len(script)))
        last_beat = self._read.beats * self._config.flash_lines // beat - 1
        released  = self._read.released * self._config.flash_lines // beat
        # Beats; parts of a request that are still to come, less one
        timer     = Signal(range(last_beat + 1), reset_less=True)
        fetch     = Signal()
        fetched   = Signal(self._timing.slot + PADS_LATENCY)

        # Halfwords that remain, less one once data is read; the highest bit is set behind the last.
        m.submodules.remaining = remaining = LoadableCounter(width=25, up=False)
        m.d.comb += remaining.value.eq(Cat(requests.payload, requests.payload[:8]))
        m.d.comb += remaining.load.eq(requests.ready)
        parts = Signal(4)  # which part of a request is accepted, the first highest
        m.d.comb += parts.eq((requests.valid & requests.ready) << timer[:2])
        m.d.comb += self.idle.eq(requests.ready & ~queue.store & queue.empty)

        m.d.comb += queue.reserve.eq(fetch & self.awake)
        m.d.sync += fetched.eq(Cat(queue.reserve, fetched))
        m.d.comb += queue.store.eq(fetched[-1])
        m.d.comb += queue.halfword.eq(serializer.halfword)

        with m.FSM():
            with m.State("SETTLE"):
                m.d.sync += clock.eq(0)
                m.d.sync += select.eq(clock)
                m.d.sync += drive.eq(1)
                m.d.sync += settle.eq(settle + 1)
                with m.If(settle[-1]):
                    m.d.sync += settle.eq(0)
                    m.d.sync += select.eq(1)
                    m.next = "SEND"

            with m.State("SEND"):
                m.d.sync += clock.eq(1)
                m.d.sync += bit.eq(_table(script).bit_select(position, 1))
                m.d.sync += position.eq(position + 1)
                with m.If(position == len(script) - 1):
                    m.next = "COMMAND"
                with m.Elif(_table(self._read.ends).bit_select(position, 1)):
                    m.next = "SETTLE"

            with m.State("COMMAND"):
                m.d.sync += quad.eq(1)
                m.d.sync += timer.eq(last_beat)
                m.next = "BURST"

            with m.State("BURST"):
                m.d.sync += command.eq(Cat(self._mode.replicate(2)[:beat], command))
                with m.If(timer != 0):
                    m.d.sync += timer.eq(timer - 1)
                if released != self._timing.slot:
                    with m.If(timer == released):
                        m.d.sync += drive.eq(0)
                with m.If(timer == self._timing.slot):
                    if released == self._timing.slot:
                        m.d.sync += drive.eq(0)
                    # Of the script, one halfword more is read.
                    m.d.comb += remaining.enable.eq(self.awake.replicate(25))
                with m.Elif(timer == 0):
                    m.d.sync += clock.eq(fetch)
                    with m.If(remaining.count[-1]):
                        m.next = "END"
                    with m.Elif(queue.room):
                        m.d.comb += fetch.eq(1)
                        m.d.sync += timer.eq(self._timing.slot - 1)
                        m.d.comb += remaining.enable.eq(~0)

            with m.State("END"):
                m.d.sync += select.eq(0)
                m.d.sync += timer.eq(3)
                m.d.sync += self.awake.eq(1)
                m.next = "IDLE"

            with m.State("IDLE"):
                m.d.comb += requests.ready.eq(1)
                m.d.sync += drive.eq(1)
                with m.If(parts[3]):
                    m.d.sync += command[:16].eq(requests.payload)
                with m.If(parts[2]):
                    m.d.sync += command[16:].eq(requests.payload)
                m.d.comb += remaining.enable.eq(Cat(parts[1].replicate(16), parts[0].replicate(9)))
                with m.If(requests.valid):
                    m.d.sync += timer.eq(timer - 1)
                with m.If(parts[0]):
                    m.d.sync += select.eq(1)
                    if self._config.flash_continuous:
                        m.d.sync += clock.eq(1)
                        m.d.sync += timer.eq(last_beat)
                        m.next = "BURST"
                    else:
                        m.d.sync += quad.eq(0)
                        m.d.sync += position.eq(len(script) - OPCODE_BEATS)
                        m.next = "SEND"

        return m


def _table(bits):
    """Return a constant that has the given bits, the first lowest."""
    return C(sum(int(bit) << index for index, bit in enumerate(bits)), len(bits))


def _settle_bits(clock_hz):
    """Return the width of a counter whose highest bit is set after SETTLE_NS, and the end of a
    transaction.
    """
    return (SETTLE_NS * clock_hz // 10**9 + 4).bit_length() + 1
