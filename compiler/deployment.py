"""What a host knows of a network that was built: all but its layers, which are on the board."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from compiler import golden
from compiler.errors import UserError
from compiler.host import Accelerator, HostError, Identity
from compiler.ir import Binary, Graph, Node, value_range
from compiler.records import from_json, to_json
from compiler.schedule.layout import Placement
from compiler.schedule.plan import Schedule
from compiler.schedule.streaming import Piece, cut
from compiler.stages import on_host
from hdl.config import Config
from hdl.counters import CAUSES, LAYERS
from hdl.isa import Cause


__all__ = ["FILE", "Deployment"]

Array = np.ndarray[Any, Any]

FILE = "host.json"  # of a build folder
META = "classes", "picture", "votes"


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A network as a host runs it on a board: what it gives, and what it makes of what it gets.

    Attributes
    ----------
    board : str
        Its name, one of `boards.catalogue.BOARDS`; "" where it is for none.
    config : Config
        What the bitstream was made of.
    image_hash : int
        Names the image.
    layers : tuple[str, ...]
        Their names, in the order of the board's counters.
    prefix : Graph
        The Input, and what the host does before the first layer. Its ``meta`` has the names of
        ``classes``, what a ``picture`` must be like, and whether bits ``vote``, where it is known.
    given, made : Placement
        Where the board finds its input, and where it leaves its output.
    parts : tuple[tuple[Piece, ...], ...]
        In which the input is written: the first before a frame, each other when it is wanted.
    suffix : tuple[Node, ...]
        What the host does behind the last layer.
    """

    board: str
    config: Config
    image_hash: int
    layers: tuple[str, ...]
    prefix: Graph
    given: Placement
    made: Placement
    parts: tuple[tuple[Piece, ...], ...]
    suffix: tuple[Node, ...]

    @classmethod
    def of(cls, schedule: Schedule, board: str = "", image_hash: int = 0) -> Deployment:
        """Return what a host must know of a schedule, whose image has such a hash."""
        graph, parts = schedule.graph, schedule.parts
        meta = {key: graph.meta[key] for key in META if key in graph.meta}
        return cls(board=board, config=schedule.config, image_hash=image_hash,
                   layers=tuple(lowered.task.name for lowered in schedule.layers),
                   prefix=Graph((graph.input, *parts.prefix), graph.name, meta),
                   given=schedule.input, made=schedule.output, parts=schedule.given,
                   suffix=parts.suffix)

    def text(self) -> str:
        """Return it as JSON; `load` reads it from a build folder."""
        return json.dumps({field.name: to_json(getattr(self, field.name))
                           for field in fields(self)}) + "\n"

    @classmethod
    def load(cls, folder: str | Path) -> Deployment:
        """Read what `compiler.build.build` left in a folder. Raises UserError."""
        path = Path(folder) / FILE
        try:
            return cls(**from_json(json.loads(path.read_text())))
        except OSError as error:
            raise UserError(f"'{folder}' must be a folder that `build` has made, with {FILE} in "
                            f"it: {error.strerror or error}") from error
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(f"'{path}' must be as this version writes it; build it again "
                            f"({error})") from error

    @property
    def makes_bits(self) -> bool:
        """Whether answers are bits."""
        return not self.suffix and isinstance(self.made.layout.type, Binary)

    def check(self, identity: Identity) -> None:
        """Raise HostError where a board does not hold this network."""
        for name, own, found in (("bitstream", self.config.hash, identity.config_hash),
                                 ("image", self.image_hash, identity.image_hash)):
            if own != found:
                raise HostError(f"The board must have the {name} of network {self.prefix.name!r}, "
                                f"which is {own:#010x}, not {found:#010x}; write it with `flash`")

    def inputs(self, x: Array) -> Array:
        """Return what the first layer reads of the batch ``x``: (frames, ...) of integers."""
        values = golden.evaluate(self.prefix.input, np.asarray(x))
        values = on_host(self.prefix.nodes[1:], values)
        low, high = value_range(self.given.layout.type)
        if values.size and not (low <= values.min() and values.max() <= high):
            raise UserError(f"Values of {self.given.name!r} must lie between {low} and {high}, "
                            f"not {values.min()} and {values.max()}")
        return values.astype(np.int64)

    def frame(self, accelerator: Accelerator, values: Array) -> Array:
        """Run one of `inputs` on a board that is not reset, and return what the last layer leaves.
        """
        first, *later = cut(self.given.pack(values), self.parts)
        for address, data in first:
            accelerator.write(address, data)
        accelerator.run(later)
        return self.made.unpack(accelerator.read(self.made.address, self.made.octets))

    def counters(self, accelerator: Accelerator) -> list[dict[Cause, int]]:
        """Return the cycles of the last frame by cause: of each layer, and of what comes after.

        Layers from the 32nd on count as one, and so does what comes after them.
        """
        count = min(len(self.layers) + 1, LAYERS) * CAUSES
        values = accelerator.counters(count)
        return [{cause: values[at + cause] for cause in Cause} for at in range(0, count, CAUSES)]

    def answers(self, made: Array) -> Array:
        """Return what `golden.run` returns, for what `frame` returned, (frames, ...)."""
        return on_host(self.suffix, made)

    def run(self, accelerator: Accelerator, x: Array) -> Array:
        """Return what `golden.run` returns for the batch ``x``, (frames, ...), from a board."""
        return self.answers(np.stack([accelerator.frame(partial(self.frame, accelerator, values))
                                      for values in self.inputs(x)]))
