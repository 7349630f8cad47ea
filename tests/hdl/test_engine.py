# amaranth: UnusedElaboratable=no

import random

import cocotb
import pytest

from hdl.config import Config
from hdl.engine import Engine
from hdl.isa import Cause, Layer
from sim.bench import pack
from sim.runner import simulate
from tests.hdl.worlds import Verilog, in_amaranth


CONFIG = Config(simd=16, binary_width=7)  # segments of 7 words
KEEP, CAPTURE = 3, 5  # cycles from a word's cycle, which reaches the units in the next


class Twin:
    """The engine, cycle by cycle."""

    def __init__(self, segment):
        self.segment = segment
        self.layer = None       # words, tiles
        self.done = 0           # words of this layer
        self.draining = False
        self.cycle = 0
        self.keeps, self.captures = set(), {}  # cycles; first and final of each capture

    @property
    def left(self):
        words, tiles = self.layer
        return words * tiles - self.done

    @property
    def ends(self):
        """Whether the next word is the last of its sum, and of its segment."""
        words, _ = self.layer
        at = self.done % words
        last = at == words - 1
        return last, last or at % self.segment == self.segment - 1

    def cause(self, feed, weight):
        if self.layer is None:
            return Cause.PROGRAM
        if not self.left:
            return Cause.DRAIN
        if not weight:
            return Cause.WEIGHTS
        if not feed:
            return Cause.ACTIVATIONS
        return Cause.DRAIN if self.ends[1] and self.draining else Cause.WORK

    def step(self, offered, feed, weight, drained):
        """Return what the outputs must be in this cycle, and go to the next."""
        cause = self.cause(feed, weight)
        running = self.layer is not None and self.left > 0
        finishing = self.layer is not None and not running and not self.draining
        expected = {
            "idle": self.layer is None, "begin": self.layer is None and offered is not None,
            "running": running, "cause": cause, "next": cause is Cause.WORK,
            "end": finishing, "layers__ready": finishing,
            "keep": self.cycle in self.keeps, "capture": self.cycle in self.captures,
        }
        if running:
            expected["last"] = self.ends[0]
        if self.cycle in self.captures:
            expected["first"], expected["final"] = self.captures[self.cycle]
        if drained:
            self.draining = False
        if cause is Cause.WORK:
            last, end = self.ends
            self.keeps.add(self.cycle + KEEP)
            if end:
                words, _ = self.layer
                first = self.done % words < self.segment
                self.captures[self.cycle + CAPTURE] = first, last
                self.draining = True
            self.done += 1
        if finishing:
            self.layer = None
        elif expected["begin"]:
            self.layer, self.done = offered, 0
        self.cycle += 1
        return expected


async def layers(world, config, seed, count):
    """Layers of any size; words, descriptors and the drain come when they want."""
    rng = random.Random(seed)
    segment = config.segment
    sizes = [(1, 1), (1, 5), (segment, 2), (segment + 1, 2), (3 * segment, 1), (2, 3)]
    sizes += [(rng.randrange(1, 4 * segment), rng.randrange(1, 5)) for _ in range(count)]
    descriptors = {name: 0 for name, _ in Layer}
    twin, ended, patience = Twin(segment), 0, 0
    offered, draining, rates = None, None, (1.0, 1.0, 0)
    while ended < len(sizes):
        if rng.random() < 0.03:
            rates = rng.choice([1.0, 0.9, 0.3]), rng.choice([1.0, 0.9, 0.3]), rng.choice([0, 9])
        if offered is None and rng.random() < 0.5:
            offered = sizes[ended]
            world.set("layers__payload", pack(Layer, **descriptors | {
                "words": offered[0], "tiles": offered[1]}))
        feed, weight = rng.random() < rates[0], rng.random() < rates[1]
        drained = draining == 0
        world.set("layers__valid", offered is not None)
        world.set("feed_valid", feed)
        world.set("weight_valid", weight)
        world.set("drained", drained)
        await world.settle()
        expected = twin.step(offered, feed, weight, drained)
        found = {name: world.get(name) for name in expected}
        assert found == expected, twin.cycle
        draining = None if drained or draining is None else draining - 1
        if expected["capture"]:
            draining = rng.randrange(rates[2] + 1)
        if expected["end"]:
            offered, ended = None, ended + 1
        patience = 0 if expected["next"] or expected["end"] else patience + 1
        assert patience < 1000, "the engine has stopped"
        await world.tick()


@pytest.mark.parametrize("config", [
    CONFIG, Config(), Config(simd=16, binary_width=6)],
    ids=lambda config: str(config.segment) if isinstance(config, Config) else None)
def test_layers(config):
    in_amaranth(Engine(config), layers, config, 0, 40)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def any_layers(dut):
    await layers(await Verilog.begin(dut), CONFIG, 1, 30)


def test_verilog(tmp_path):
    assert simulate(Engine(CONFIG), __name__, tmp_path) == 1
