# amaranth: UnusedElaboratable=no

import random
from collections import deque
from dataclasses import dataclass

import cocotb
import pytest

from hdl.config import Config
from hdl.engine import Engine
from hdl.isa import Cause, Layer
from sim.bench import pack
from sim.runner import simulate
from tests.hdl.twins import fields
from tests.hdl.worlds import Verilog, in_amaranth


CONFIG = Config(simd=16, binary_width=7)  # segments of 7 words
CAPTURE = 6  # cycles after a step
FLAGS = ("part_first", "part_last", "across_last", "window_last", "group_last", "last")


@dataclass
class Pass:
    """Steps of a pass, each (void, reads); and what is said of it."""

    steps: deque
    flags: dict
    output: int


class Twin:
    """The engine, cycle by cycle."""

    def __init__(self):
        self.layer = None   # passes to come; fixed, pool, segment
        self.words = 0      # of this segment
        self.fresh = True   # it is the first of its pass
        self.draining = False
        self.cycle = 0
        self.captures = {}  # cycle: harvest
        self.harvest = None
        self.output = 0     # of the results that are on their way

    @property
    def present(self):
        return self.layer[0][0] if self.layer and self.layer[0] else None

    def step(self, offered, feed, weight, grant, drained, resting):
        """Return what the outputs must be in this cycle, and go to the next."""
        running, at = self.layer is not None, self.present
        finishing = running and at is None and not self.draining and resting
        void, reads = at.steps[0] if at else (0, 0)
        last = bool(at) and len(at.steps) == 1
        ends = last or (bool(at) and not void and self.words == self.layer[3] - 1)
        waits = ends and self.draining
        ready = bool(at) and feed and (weight or void) and not waits
        goes = ready and (grant or not reads)
        cause = (Cause.PROGRAM if not running else
                 Cause.DRAIN if not at else
                 Cause.WEIGHTS if not weight and not void else
                 Cause.DRAIN if feed and waits else
                 Cause.WORK if goes and not void else Cause.ACTIVATIONS)
        expected = {
            "idle": not running, "begin": not running and offered is not None, "cause": cause,
            "end": finishing, "layers__ready": finishing,
            "request": bool(at) and reads and (weight or void),
            "next": goes, "use": goes and not void, "capture": self.cycle in self.captures}
        if self.cycle in self.captures:
            self.harvest = self.captures.pop(self.cycle)
        if self.draining and self.harvest and not self.captures:
            expected |= {f"harvest__{name}": value for name, value in self.harvest.items()}
        if drained:
            self.draining, self.harvest = False, None
        if goes:
            at.steps.popleft()
            self.words += not void
            if ends:
                self.captures[self.cycle + CAPTURE] = self.harvest_of(at, last)
                self.words, self.fresh, self.draining = 0, last, True
            if last:
                self.layer[0].popleft()
        if finishing:
            self.layer = None
        elif expected["begin"]:
            self.layer, self.words, self.fresh = offered, 0, True
        self.cycle += 1
        return expected

    def harvest_of(self, at, last):
        part_first, part_last = at.flags["part_first"], at.flags["part_last"]
        _, fixed, pool, _ = self.layer
        whole = fixed or (part_first and part_last)
        if part_last and (not pool or at.flags["window_last"]):
            self.output = at.output
        return {
            "first": self.fresh and (fixed or part_first), "serial": not whole,
            "double": self.fresh and not whole and not part_first,
            "final": last and (part_last or fixed), "output": self.output,
            **{f"flags__{name}": value for name, value in at.flags.items()}}


def any_layer(rng, config, words=None):
    """Passes of any number of words, with steps between them that bring none."""
    passes, segment = deque(), rng.choice([2, config.segment, rng.randint(2, config.segment)])
    places = config.memory_depth * config.memory_width // 8
    for index in reversed(range(rng.randrange(1, 6))):
        steps = deque()
        for _ in range(words or rng.choice([1, 2, segment, segment + 1,
                                            rng.randrange(1, 4 * segment)])):
            steps += [(1, rng.randrange(2))] * rng.choice([0, 0, 0, 1, 3])
            steps.append((0, rng.randrange(2)))
        flags = {name: rng.randrange(2) for name in FLAGS} | {"last": int(index == 0)}
        passes.append(Pass(steps, flags, rng.randrange(places)))
    return passes, rng.randrange(2), rng.randrange(2), segment


async def layers(world, config, seed, count):
    """Layers of any passes; words, descriptors, grants and the drain come when they want."""
    rng = random.Random(seed)
    places = config.memory_depth * config.memory_width // 8
    twin, ended, patience = Twin(), 0, 0
    offered, draining, rates = None, None, (1.0, 1.0, 1.0, 0)
    while ended < count:
        if rng.random() < 0.03:
            rates = [rng.choice([1.0, 0.9, 0.3]) for _ in range(3)] + [rng.choice([0, 9])]
        if offered is None and rng.random() < 0.5:
            offered = any_layer(rng, config, words=1 if ended % 4 == 0 else None)
            world.set("layers__payload", pack(Layer, **fields(
                Layer, fixed=offered[1], pool=offered[2], segment=offered[3])))
        feed, weight, grant = (rng.random() < rate for rate in rates[:3])
        drained, resting = draining == 0, rng.random() < 0.5
        at = twin.present
        void, reads = at.steps[0] if at else (0, 0)
        world.set("layers__valid", offered is not None)
        for name, value in (
                ("feed_valid", feed), ("feed_void", void), ("feed_reads", reads),
                ("feed_wants", reads and at is not None),
                ("feed_last", at is not None and len(at.steps) == 1), ("weight_valid", weight),
                ("grant", grant), ("drained", drained), ("resting", resting),
                ("output", at.output if at else rng.randrange(places))):
            world.set(name, value)
        for name in FLAGS:
            world.set(f"flags__{name}", at.flags[name] if at else rng.randrange(2))
        await world.settle()
        expected = twin.step(offered, feed, weight, grant, drained, resting)
        found = {name: world.get(name) for name in expected}
        assert found == expected, twin.cycle
        draining = None if drained or draining is None else draining - 1
        if expected["capture"]:
            draining = rng.randrange(rates[3] + 1)
        if expected["end"]:
            offered, ended = None, ended + 1
        patience = 0 if expected["next"] or expected["end"] else patience + 1
        assert patience < 1000, "the engine has stopped"
        await world.tick()


@pytest.mark.parametrize("config", [CONFIG, Config(), Config(simd=16, binary_width=6)],
                         ids=lambda config: str(config.segment))
def test_layers(config):
    in_amaranth(Engine(config), layers, config, 0, 30)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def any_layers(dut):
    await layers(await Verilog.begin(dut), CONFIG, 1, 15)


def test_verilog(tmp_path):
    assert simulate(Engine(CONFIG), __name__, tmp_path) == 1
