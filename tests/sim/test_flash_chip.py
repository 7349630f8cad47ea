import pytest

from sim.flash_chip import FlashChip, Part, Start


IMAGE = bytes(range(7, 7 + 64))
STEP_NS = 10.0  # 50 MHz


class Bus:
    """Drives the chip as a host would, bit by bit."""

    def __init__(self, **options):
        options = {"size": 256, "step_ns": STEP_NS, "image": IMAGE, **options}
        self.chip = FlashChip(**options)
        self.step_ns = options["step_ns"]
        self.idle()

    @property
    def complaints(self):
        return [line.partition(": ")[2] for line in self.chip.complaints]

    def idle(self, ns=100.0):
        for _ in range(round(ns / self.step_ns)):
            self.chip.step(1, 0)

    def clock(self, io_o=0, io_oe=0):
        """Make one clock, low then high, and return the lines at the end of its low half."""
        lines = self.chip.step(0, 0, io_o, io_oe)
        self.chip.step(0, 1, io_o, io_oe)
        return lines

    def write(self, *octets):
        for octet in octets:
            for bit in reversed(range(8)):
                self.clock(0b1110 | octet >> bit & 1, 0b1101)

    def write_quad(self, *octets):
        for octet in octets:
            self.clock(octet >> 4, 0xf)
            self.clock(octet & 0xf, 0xf)

    def read(self, count):
        return bytes(sum((self.clock(0b1101, 0b1101) >> 1 & 1) << bit for bit in reversed(range(8)))
                     for _ in range(count))

    def read_quad(self, count):
        return bytes(self.clock() << 4 | self.clock() for _ in range(count))

    def write_dual(self, *octets):
        for octet in octets:
            for low in (6, 4, 2, 0):
                self.clock(0b1100 | octet >> low & 3, 0xf)

    def read_dual(self, count):
        return bytes(sum((self.clock(0b1100, 0b1100) & 3) << low for low in (6, 4, 2, 0))
                     for _ in range(count))

    def end(self, ns=100.0):
        self.chip.step(0, 0, 0, 0)
        self.chip.step(1, 0, 0, 0)
        self.idle(ns)

    def command(self, *octets, ns=100.0):
        self.write(*octets)
        self.end(ns)

    def enable_quad(self):
        self.command(0x50)
        self.command(0x31, 0x02)


@pytest.fixture
def bus():
    return Bus()


def read_quad(bus, address, mode, count, *, dummies=4):
    bus.write_quad(0, 0, address, mode)
    for _ in range(dummies):
        bus.clock()
    data = bus.read_quad(count)
    bus.end()
    return data


# What it does

def test_identity(bus):
    bus.write(0x9f)
    assert bus.read(3) == b"\xef\x70\x18"
    bus.end()
    assert bus.complaints == []


@pytest.mark.parametrize("opcode", [b"\x03", b"\x0b"])
def test_read(bus, opcode):
    bus.write(*opcode, 0, 0, 5, *[0] * (opcode == b"\x0b"))
    assert bus.read(9) == IMAGE[5:14]
    bus.end()
    assert bus.complaints == []


def test_beyond_image(bus):
    bus.write(0x03, 0, 0, 62)
    assert bus.read(4) == IMAGE[62:] + b"\xff\xff"


def test_status(bus):
    bus.command(0x06)
    bus.write(0x05)
    assert bus.read(2) == b"\x02\x02"
    bus.end()
    bus.command(0x04)
    bus.write(0x05)
    assert bus.read(1) == b"\x00"
    bus.end()
    bus.enable_quad()
    bus.write(0x35)
    assert bus.read(1) == b"\x02"
    bus.end()
    assert bus.complaints == []


def test_reset_forgets_quad_enable(bus):
    bus.enable_quad()
    bus.command(0x66)
    bus.command(0x99, ns=30_000)
    bus.write(0x35)
    assert bus.read(1) == b"\x00"
    assert bus.complaints == []


def test_quad_read(bus):
    bus.enable_quad()
    for address in range(20):
        bus.write(0xeb)
        assert read_quad(bus, address, 0xff, 3) == IMAGE[address:address + 3]
    assert bus.complaints == []


def test_continuous_read(bus):
    bus.enable_quad()
    bus.write(0xeb)
    for address in range(20):
        assert read_quad(bus, address, 0xa0, 3) == IMAGE[address:address + 3]
    bus.write_quad(0xff, 0xff, 0xff, 0xff)
    bus.end()
    bus.write(0x9f)
    assert bus.read(1) == b"\xef"
    assert bus.complaints == []


def test_release_ends_continuous_read():
    # An iCE40 that configures itself sends this first, and so can read the chip afterwards.
    bus = Bus(start=Start.READING)
    bus.command(0xab)
    bus.write(0x9f)
    assert bus.read(1) == b"\xef"
    assert bus.complaints == ["lines 2h float when they are sampled"]


def test_starts_reading():
    bus = Bus(start=Start.READING, part=Part.IQ)
    bus.write(0x9f)
    assert bus.read(3) == b"\xef\x40\x18"
    bus.end()
    bus.write(0xeb)
    assert read_quad(bus, 3, 0xf0, 2) == IMAGE[3:5]
    assert bus.complaints == []


def test_drives_until_deselected():
    chip = FlashChip(size=256, step_ns=STEP_NS, start=Start.READING)
    assert chip.step(0, 0) == 0
    assert chip.step(1, 0) == 0
    assert chip.step(1, 0) == 0xf


def test_power_down(bus):
    bus.command(0xb9, ns=3000)
    bus.command(0xff)
    bus.command(0xab, ns=3000)
    bus.write(0x9f)
    assert bus.read(1) == b"\xef"
    assert bus.complaints == []


def test_output_takes_time():
    bus = Bus(step_ns=5.0)
    bus.write(0x9f)
    levels = [bus.chip.step(0, sck, 0b1101, 0b1101) >> 1 & 1 for _ in range(3) for sck in (0, 1)]
    assert levels == [0, 1, 0, 1, 0, 1]  # EFh begins with three ones


# What it refuses

def quad_read_too_early(bus):
    bus.write(0xeb)


def contention(bus):
    bus.enable_quad()
    bus.write(0xeb)
    bus.write_quad(0, 0, 0, 0xff)
    for _ in range(6):
        bus.clock(0, 0xf)


def floating(bus):
    bus.enable_quad()
    bus.write(0xeb)
    bus.clock(0, 0b0111)


def data_changes_with_clock(bus):
    bus.chip.step(0, 0, 0xf, 0xf)
    bus.chip.step(0, 1, 0xe, 0xf)


def held(bus):
    bus.chip.step(0, 0, 0x7, 0xf)


def short_deselect(bus):
    bus.command(0x50, ns=0)
    bus.chip.step(0, 0, 0xf, 0xf)


def early_clock(bus):
    bus.chip.step(0, 1, 0xf, 0xf)


def early_deselect(bus):
    bus.clock(0xf, 0xf)
    bus.chip.step(1, 0, 0xf, 0xf)


@pytest.mark.parametrize(("start", "act", "complaint"), [
    (Start.NORMAL, [0x12], "command 12h is unknown"),
    (Start.NORMAL, [0x02, 0, 0, 0, 1], "Page Program (02h) would write to the chip"),
    (Start.NORMAL, [0x31, 2], "Write Status 2 (31h) was not enabled"),
    (Start.NORMAL, [0x99], "Reset (99h) without Enable Reset (66h)"),
    (Start.NORMAL, [0x66, 1], "Enable Reset (66h) with 8 bits"),
    (Start.POWER_DOWN, [0x9f], "JEDEC ID (9Fh) in power-down"),
    (Start.POWER_DOWN, [0x66], "Enable Reset (66h) in power-down"),
    (Start.NORMAL, quad_read_too_early, "Fast Read Quad I/O (EBh) while QE is 0"),
    (Start.NORMAL, contention, "host and chip drive the same line"),
    (Start.NORMAL, floating, "lines 8h float when they are sampled"),
    (Start.NORMAL, data_changes_with_clock, "a line changes with the rising clock"),
    (Start.NORMAL, held, "IO3 is low while QE is 0, which holds the chip"),
    (Start.NORMAL, short_deselect, "cs_n was high for 10.00 ns, less than 50.00 ns"),
    (Start.NORMAL, early_clock, "the clock rises 0.00 ns after cs_n fell"),
    (Start.NORMAL, early_deselect, "cs_n rises after 1 clocks of a command"),
])
def test_complaint(start, act, complaint):
    bus = Bus(start=start)
    if callable(act):
        act(bus)
    else:
        bus.command(*act)
    assert bus.complaints == [complaint]


def test_needs_time_to_wake():
    bus = Bus(start=Start.POWER_DOWN)
    bus.command(0xab, ns=2000)
    bus.command(0x66)
    assert len(bus.complaints) == 1
    assert bus.complaints[0].startswith("Enable Reset (66h) 9")
    assert bus.complaints[0].endswith(" ns before the chip is ready")


def test_needs_time_to_reset(bus):
    bus.command(0x66)
    bus.command(0x99, ns=29_000)
    bus.command(0x50)
    assert len(bus.complaints) == 1


def test_reset_must_follow_at_once(bus):
    bus.command(0x66)
    bus.command(0x50)
    bus.command(0x99)
    assert bus.complaints == ["Reset (99h) without Enable Reset (66h)"]


def test_stored_status(bus):
    bus.command(0x06)
    bus.command(0x31, 2)
    bus.command(0x66)
    assert bus.complaints[0] == "Write Status 2 (31h) writes what the chip stores"
    assert "before the chip is ready" in bus.complaints[1]


def test_clock_limits():
    bus = Bus(step_ns=1000 / 2 / 51)
    bus.write(0x9f)
    bus.read(1)
    bus.end()
    assert bus.complaints == []
    bus.write(0x03, 0, 0, 0)
    assert bus.complaints == ["a clock period of 19.61 ns, less than 20.00 ns"]

    bus = Bus(step_ns=1000 / 2 / 105)
    bus.write(0xff)
    assert "a clock period of 9.52 ns, less than 9.62 ns" in bus.complaints


def test_part_without_continuous_read():
    bus = Bus(part=Part.IQ)
    bus.write(0xeb)
    assert read_quad(bus, 0, 0xa0, 2) == IMAGE[:2]
    assert bus.complaints == ["mode bits A0h, where this part wants Fxh"]
    bus.write(0x9f)
    assert bus.read(1) == b"\xef"


@pytest.mark.parametrize("part", list(Part))
def test_two_lines(part):
    bus = Bus(part=part)
    bus.write(0xbb)
    bus.write_dual(0, 0, 3)
    bus.clock(0b1111, 0xf)
    bus.clock(0b1111, 0xf)
    bus.clock(0b1100, 0b1100)
    bus.clock(0b1100, 0b1100)
    assert bus.read_dual(4) == IMAGE[3:7]
    bus.end()
    assert bus.complaints == []


def test_two_lines_that_go_on():
    bus = Bus()
    bus.write(0xbb)
    bus.write_dual(0, 0, 3, 0xa0)
    assert bus.complaints == ["continuous read on two lines, which this model has not"]


def test_end_of_chip(bus):
    bus.write(0x03, 0, 0, 255)
    assert bus.read(2) == b"\xff" + IMAGE[:1]
    bus.end()
    assert bus.complaints == ["address 000100h is beyond the chip"]


def test_many_complaints(bus):
    for _ in range(40):
        bus.command(0x12)
    assert len(bus.complaints) == 33
    assert bus.chip.complaints[-1] == "and 8 more"


def test_image_too_large():
    with pytest.raises(ValueError, match=r"^'image' must fit in 256 bytes, not end at 257$"):
        FlashChip(size=256, step_ns=STEP_NS, image=bytes(2), offset=255)


def test_wrong_size():
    with pytest.raises(ValueError, match=r"^'size' and 'step_ns' must be positive, not \(0, 1\)$"):
        FlashChip(size=0, step_ns=1)
