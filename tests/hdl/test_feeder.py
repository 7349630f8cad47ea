# amaranth: UnusedElaboratable=no

import random

import cocotb
import pytest

from hdl.config import Config
from hdl.feeder import Feeder
from hdl.isa import Layer
from sim.bench import pack
from sim.runner import simulate
from tests.hdl.worlds import Verilog, in_amaranth


CONFIG = Config(simd=16, memory_depth=64)


def word(config, memory, source, index):
    """A word of a sum: words lie side by side at an address, the first lowest."""
    address = source + index // config.group
    return memory[address] >> index % config.group * config.simd & (1 << config.simd) - 1


async def layers(world, config, seed, count, *, grants, uses):
    """Layers of any size; the memory grants a share of the requests, ``uses`` is that of words.

    Returns the cycles that each layer took, from the first one with ``enable``.
    """
    rng = random.Random(seed)
    memory = [rng.getrandbits(config.memory_width) for _ in range(config.memory_depth)]
    for name in ("enable", "next", "last", "grant", "read_data"):
        world.set(name, 0)
    most = (config.memory_depth - 8) * config.group
    cycles = []
    for size in [1, 2, config.group, most, *[rng.randrange(1, 30) for _ in range(count)]]:
        source = rng.randrange(config.memory_depth - -(-size // config.group) + 1)
        fields = {name: 0 for name, _ in Layer} | {"source": source, "words": size, "tiles": 3}
        world.set("layer", pack(Layer, **fields))
        await world.tick()
        cycles.append(await one_layer(world, config, rng, memory, fields, grants, uses))
        for _ in range(rng.randrange(3)):
            await world.tick()
    return cycles


async def one_layer(world, config, rng, memory, fields, grants, uses):
    source, size = fields["source"], fields["words"]
    groups = -(-size // config.group)
    used, asked, cycle, shown = 0, 0, 0, None
    world.set("enable", 1)
    while used < 3 * size:
        await world.settle()
        request, address, valid = (world.get(name) for name in ("request", "address", "valid"))
        grant = request and rng.random() < grants
        next_ = valid and rng.random() < uses
        world.set("grant", grant)
        world.set("next", next_)
        world.set("last", used % size == size - 1)
        if shown is not None:
            assert world.get("activations") == shown
            shown = None
        if grant:
            assert address == source + asked % groups
            asked += 1
        if next_:
            shown = word(config, memory, source, used % size)
            used += 1
        await world.tick()
        # What was not asked for is not there to be read.
        world.set("read_data", memory[address] if grant else rng.getrandbits(config.memory_width))
        cycle += 1
        assert cycle < 3 * size * 50 + 50, "the feeder has stopped"
    world.set("enable", 0)
    world.set("next", 0)
    world.set("grant", 0)
    await world.settle()
    assert world.get("activations") == shown
    assert not world.get("request")
    await world.tick()
    return cycle


@pytest.mark.parametrize(("grants", "uses"), [(1, 1), (0.3, 1), (1, 0.3), (0.5, 0.5)])
@pytest.mark.parametrize("config", [
    CONFIG, Config(simd=32, group=1, memory_depth=64), Config(simd=8, group=4, memory_depth=64)],
    ids=["2", "1", "4"])
def test_layers(config, grants, uses):
    in_amaranth(Feeder(config), lambda world: layers(world, config, 0, 30, grants=grants,
                                                     uses=uses))


@pytest.mark.parametrize("group", [1, 2, 4])
def test_throughput(group):
    """A group of words in two cycles more than it has words."""
    config = Config(simd=32, group=group, memory_depth=64)

    async def bench(world):
        cycles = await layers(world, config, 0, 0, grants=1, uses=1)
        most = (config.memory_depth - 8) * group
        sizes = [1, 2, group, most]
        assert cycles == [3 * (size + 2 * -(-size // group)) for size in sizes]

    in_amaranth(Feeder(config), bench)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(("grants", [1, 0.4]), ("uses", [1, 0.4]))
async def any_layers(dut, grants, uses):
    await layers(await Verilog.begin(dut), CONFIG, 1, 6, grants=grants, uses=uses)


def test_verilog(tmp_path):
    assert simulate(Feeder(CONFIG), __name__, tmp_path) == 4
