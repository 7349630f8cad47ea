"""Runs networks on the gateware, in the compiled simulator, through the driver of the host."""

from collections.abc import Callable

import numpy as np

from compiler.deployment import Deployment
from compiler.host import Accelerator
from compiler.ir import Graph
from compiler.schedule.plan import Schedule, schedule
from compiler.stages import split
from hdl.config import Config
from hdl.counters import LAYERS
from hdl.isa import Cause
from hdl.protocol import GAP_OCTETS
from sim.accelerator import Simulation
from sim.forms import Form, rtl


__all__ = ["Rtl"]

PATIENCE = 24 * 3600.0  # seconds that a frame may take: what is simulated is slow
OCTET_BITS = 10         # on the serial line


class Rtl:
    """A network on a simulated board, whose flash holds its image.

    Parameters
    ----------
    network : Graph or Schedule
        What runs. An integer graph is scheduled for ``config``.
    config : Config
        Used with a graph; the default one where None.
    patience : float
        Seconds that a frame may take to simulate.
    form : function
        What of the gateware is simulated: `sim.forms.rtl`, or `sim.forms.netlist`.

    Attributes
    ----------
    schedule : Schedule
    deployment : Deployment
    simulation : Simulation
    accelerator : Accelerator
        The driver, as it drives a board.

    Building one raises `compiler.host.RefusedError` where the board refuses the image.
    """

    def __init__(self, network: Graph | Schedule, config: Config | None = None, *,
                 patience: float = PATIENCE, form: Callable[[Config], Form] = rtl):
        if isinstance(network, Graph):
            network = schedule(network, config or Config())
        self.schedule = network
        self.deployment = Deployment.of(network)
        config = network.config
        self.simulation = Simulation(config, network.image().to_bytes(), form=form)
        # As short as may be: the default of the driver takes seconds to simulate.
        quiet = (2 * GAP_OCTETS + 16) * OCTET_BITS / config.baud
        self.accelerator = Accelerator(self.simulation, quiet=quiet, patience=patience)

    # Executor

    def run(self, x: np.ndarray) -> np.ndarray:
        """Return what `golden.run` returns for the batch ``x``, (frames, ...)."""
        return self.deployment.answers(np.stack([self.output(frame) for frame in self.inputs(x)]))

    def trace(self, x: np.ndarray) -> dict[str, np.ndarray | None]:
        """Return the tensor that every layer leaves, (frames, ...) of int64, by name.

        The last comes over the serial line, the others straight from the simulated memory, as it
        was when their layer had ended. None stands for one that never is in memory as such: it was
        pooled as it was made, is the sums that another layer adds, or is made in stripes, of which
        each is gone when the next comes.
        """
        bodies = split(self.schedule.graph).body, self.schedule.parts.body
        steps = [step.output for body in bodies for step in body]
        made: dict[str, list[np.ndarray]] = {name: [] for name in self.schedule.left}
        for frame in self.inputs(x):
            output = self.output(frame)
            for name, layer in self.schedule.left.items():
                last = name == self.schedule.output.name
                made[name].append(output if last else self.tensor(name, layer))
        return {name: np.stack(made[name]) if name in made else None for name in steps}

    def inputs(self, x: np.ndarray) -> np.ndarray:
        """Return what the first layer reads of the batch ``x``: (frames, ...) of integers."""
        return self.deployment.inputs(x)

    def output(self, frame: np.ndarray) -> np.ndarray:
        """Write one of `inputs`, run a frame, and read what the last layer leaves."""
        return self.deployment.frame(self.accelerator, frame)

    def tensor(self, name: str, layer: int) -> np.ndarray:
        """Return a tensor as it was when a layer of the last frame had ended, unseen by the host.
        """
        place = self.schedule.places[name]
        return place.unpack(self.simulation.memory(layer, place.address, place.octets))

    # What the last frame took

    @property
    def counts(self) -> list[dict[Cause, int]]:
        """Cycles of each layer by cause, and of what comes after the last.

        Layers from the 32nd on count as one, and so does what comes after them.
        """
        layers = min(len(self.schedule.layers) + 1, LAYERS)
        return [{cause: row[cause] for cause in Cause} for row in self.simulation.counts[:layers]]

    @property
    def counters(self) -> list[dict[Cause, int]]:
        """The same, asked for over the serial line."""
        return self.deployment.counters(self.accelerator)

    @property
    def frame_cycles(self) -> int:
        """All cycles."""
        return self.simulation.frame_cycles

    @property
    def flash_cycles(self) -> int:
        """Cycles in which the flash bus moved."""
        return self.simulation.flash_cycles

    @property
    def complaints(self) -> list[str]:
        """What the flash chip was asked that its data sheet forbids, since the beginning."""
        return self.simulation.complaints
