"""A board's serial port, by way of pyserial."""

from __future__ import annotations

from types import TracebackType

import serial
from serial.tools import list_ports

from compiler.link import NoAnswerError


__all__ = ["SerialPort", "ports"]

WRITE_SECONDS = 5.0  # that a packet may take to leave


class SerialPort:
    """A transport for `compiler.host.Accelerator`: the serial port ``path`` at ``baud``.

    No other program may have it at the same time. Raises NoAnswerError where it cannot be opened.
    """

    def __init__(self, path: str, baud: int) -> None:
        try:
            self._port = serial.Serial(path, baud, write_timeout=WRITE_SECONDS, exclusive=True)
        except (serial.SerialException, OSError, ValueError) as error:
            found = "; found " + ", ".join(ports()) if ports() else "; found none"
            raise NoAnswerError(f"Port '{path}' must be a serial port that nobody else uses, but: "
                                f"{error}{found}") from error

    def write(self, octets: bytes, /) -> None:
        """Send all of ``octets``, in one piece."""
        self._port.write(octets)

    def read(self, max_bytes: int, timeout: float, /) -> bytes:
        """Return between 1 and ``max_bytes`` octets, or none where ``timeout`` seconds bring none.
        """
        self._port.timeout = timeout
        octets: bytes = self._port.read(1)
        if octets and (more := min(self._port.in_waiting, max_bytes - 1)):
            octets += self._port.read(more)
        return octets

    def close(self) -> None:
        self._port.close()

    def __enter__(self) -> SerialPort:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def ports() -> list[str]:
    """Return the serial ports that the system knows, each with what it calls it."""
    return [f"{port.device} ({port.description})" for port in sorted(list_ports.comports())]
