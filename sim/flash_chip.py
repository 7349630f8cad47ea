"""The model of the flash chip in ``flash_chip.c``, for Python."""

import ctypes
import enum
from functools import cache
from pathlib import Path

from compiler.tools import built_once, compile_c


__all__ = ["FlashChip", "Part", "Start"]


SOURCES = [Path(__file__).with_name(name)
           for name in ("flash_chip.c", "flash_chip.h", "flash_facts.h")]
FLAGS = ["-O2", "-shared", "-fPIC"]


class Start(enum.IntEnum):
    """What the chip was doing when the simulation began."""

    NORMAL = 0
    POWER_DOWN = 1
    READING = 2


class Part(enum.IntEnum):
    """Which W25Q128JV it is: IM knows continuous read and has QE cleared, IQ is the reverse."""

    IM = 0
    IQ = 1


class FlashChip:
    """A flash chip of ``size`` bytes, of which each step takes ``step_ns``.

    ``image`` is stored from ``offset`` on; everything else reads as FFh.
    """

    def __init__(self, *, size=1 << 24, step_ns, start=Start.NORMAL, part=Part.IM, image=b"",
                 offset=0):
        self._library = _library()
        self._chip = self._library.flash_chip_create(size, step_ns, start, part)
        if not self._chip:
            raise ValueError(f"'size' and 'step_ns' must be positive, not {(size, step_ns)!r}")
        if self._library.flash_chip_load(self._chip, offset, bytes(image), len(image)):
            raise ValueError(f"'image' must fit in {size} bytes, not end at {offset + len(image)}")

    def __del__(self):
        if getattr(self, "_chip", None):
            self._library.flash_chip_destroy(self._chip)

    def step(self, cs_n, sck, io_o=0, io_oe=0):
        """Hold the pins for one step, and return the levels of the four lines at its end."""
        return self._library.flash_chip_step(self._chip, cs_n, sck, io_o, io_oe)

    @property
    def complaints(self):
        """Every breach of the data sheet so far, as a line of text; beyond 32, their number."""
        count = self._library.flash_chip_complaints(self._chip)
        lines = (self._library.flash_chip_complaint(self._chip, index) for index in range(count))
        kept = [line.decode() for line in lines if line]
        return kept + [f"and {count - len(kept)} more"] * (count > len(kept))


@cache
def _library():
    library = ctypes.CDLL(str(_build()))
    library.flash_chip_create.restype = ctypes.c_void_p
    library.flash_chip_create.argtypes = [
        ctypes.c_uint32, ctypes.c_double, ctypes.c_int, ctypes.c_int]
    library.flash_chip_destroy.restype = None
    library.flash_chip_destroy.argtypes = [ctypes.c_void_p]
    library.flash_chip_load.argtypes = [
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_char_p, ctypes.c_size_t]
    library.flash_chip_step.restype = ctypes.c_uint8
    library.flash_chip_step.argtypes = [
        ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_uint8, ctypes.c_uint8]
    library.flash_chip_complaints.restype = ctypes.c_size_t
    library.flash_chip_complaints.argtypes = [ctypes.c_void_p]
    library.flash_chip_complaint.restype = ctypes.c_char_p
    library.flash_chip_complaint.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return library


def _build():
    """Compile the model, once for each version of its sources, and return the library's path."""
    def compile_into(folder):
        compile_c(SOURCES[:1], folder / "chip.so", FLAGS)
        return folder / "chip.so"

    return built_once("flash_chip", [source.read_bytes() for source in SOURCES], compile_into)
