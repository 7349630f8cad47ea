"""A board that is simulated, behind a pseudo-terminal: for a host it is one on a serial port."""

import contextlib
import os
import select
import threading
import time
from pathlib import Path

from compiler.deployment import Deployment
from compiler.errors import UserError
from hdl.protocol import GAP_OCTETS
from hdl.uart import CHARACTER_BITS, divisor
from sim.accelerator import Simulation
from sim.noise import Noise


__all__ = ["SimulatedBoard"]

PAUSE  = 0.02  # seconds for which a host says nothing on purpose, and not since it is slow
CYCLES = 2000  # that are simulated between two looks at the terminal
LOOK   = 0.1   # seconds between two looks at whether to stop


class SimulatedBoard:
    """The board of a build folder, with its image in its flash.

    Simulated time stands still while nothing is on the line and the board has nothing to do with
    it: cycles pass as long as octets do, and for `silence` behind them. Hosts wait for seconds of
    their own clock, though. So where a host pauses, the board first has its silence.

    Parameters
    ----------
    folder : Path
        What `compiler.build.build` has made; ``host.json`` and ``image.bin`` are read.
    noise : function
        What is done to octets on their way, either way.
    reset_after : int or None
        Octets from the host after which the power fails, once: memory then holds anything.

    Attributes
    ----------
    path : str
        Of the pseudo-terminal.
    resets : int
        How often the power has failed.

    Raises UserError for a folder that holds no build, and where there are no pseudo-terminals.
    """

    def __init__(self, folder: Path, noise: Noise | None = None, reset_after: int | None = None):
        try:
            import tty
        except ImportError as error:
            raise UserError("A simulated board must have a pseudo-terminal, which this system "
                            "lacks") from error
        self.deployment = Deployment.load(folder)
        self._image = image_of(folder)
        self._noise = noise or Noise()
        self._reset_after = reset_after
        self.resets = 0
        self._power_up()
        self._stopping = threading.Event()
        # Held open at both ends, so that hosts come and go.
        self._terminal, self._far_end = os.openpty()
        tty.setraw(self._far_end)
        os.set_blocking(self._terminal, False)
        self.path = os.ttyname(self._far_end)

    @property
    def silence(self) -> int:
        """Cycles without an octet after which a packet may begin, rounded up as the board does."""
        return 2 * GAP_OCTETS * self._octet

    def serve(self) -> None:
        """Be a board until `stop` is called, in another thread or by a signal."""
        spoken = time.monotonic()  # when a host last did
        while not self._stopping.is_set():
            rested = self._simulation.cycles - self._busy_until
            ready, _, _ = select.select([self._terminal], [], [], 0 if rested < self.silence
                                        else LOOK)
            if ready and (octets := self._hear()):
                if time.monotonic() - max(spoken, self._told) >= PAUSE:
                    self._simulation.run(max(0, self.silence - rested))
                self._take(self._noise(octets))
                spoken = time.monotonic()
            elif rested >= self.silence:
                continue
            self._simulation.run(CYCLES)
            if octets := self._simulation.read(CYCLES, 0):
                self._busy_until = max(self._busy_until, self._simulation.cycles)
                self._say(self._noise(octets))

    def stop(self) -> None:
        self._stopping.set()

    def close(self) -> None:
        for end in self._terminal, self._far_end:
            os.close(end)

    def _power_up(self) -> None:
        config = self.deployment.config
        self._octet = CHARACTER_BITS * divisor(config.clock_hz, config.baud)
        self._simulation = Simulation(config, self._image, seed=1 + self.resets)
        self._busy_until = self._simulation.cycles  # when the last octet will have passed
        self._told = 0.0  # when a host was last told anything

    def _take(self, octets: bytes) -> None:
        """Give octets to the board, and let the power fail if it is time to."""
        if self._reset_after is not None:
            now, octets = octets[:self._reset_after], octets[self._reset_after:]
            self._reset_after -= len(now)
            self._send(now)
            if self._reset_after == 0:
                self._simulation.run(max(0, self._busy_until - self._simulation.cycles))
                self._reset_after = None
                self.resets += 1
                self._power_up()
        self._send(octets)

    def _send(self, octets: bytes) -> None:
        self._simulation.write(octets)
        self._busy_until = (max(self._busy_until, self._simulation.cycles)
                            + len(octets) * self._octet)

    def _hear(self) -> bytes:
        with contextlib.suppress(OSError):
            return os.read(self._terminal, 4096)
        return b""

    def _say(self, octets: bytes) -> None:
        # What nobody listens to is lost, as on a wire.
        with contextlib.suppress(OSError):
            os.write(self._terminal, octets)
        self._told = time.monotonic()


def image_of(folder: Path) -> bytes:
    """Return the flash image of a build folder. Raises UserError."""
    path = Path(folder) / "image.bin"
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"'{path}' must be the image that `build` has made: "
                        f"{error.strerror or error}") from error
