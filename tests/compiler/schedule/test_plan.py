import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compiler import golden
from compiler.errors import UserError
from compiler.ir import Binary, Dense, Fixed, Graph, Input, Threshold
from compiler.schedule.plan import schedule
from compiler.stages import on_host
from hdl.config import Config
from hdl.isa import Opcode
from tests.compiler.codegen.networks import networks
from tests.compiler.schedule.machine import Machine


CONFIGS = [
    Config(),
    Config(simd=8, group=4, weight_depth=4, memory_depth=4096),
    Config(simd=16, pe=16, group=2, fixed_pe=2, weight_depth=2),
    Config(simd=8, pe=16, group=4, level_depth=256),
    Config(simd=64, pe=8, fixed_pe=8, group=1, sum_width=32),
]


def check(graph, frames, plan):
    """Run frames on the machine, and compare all that it leaves in its memory."""
    machine = Machine(plan.config, plan.image().to_bytes())
    for frame in frames:
        frame = frame[np.newaxis]
        tensors = {node.name: x for node, x in golden.trace(graph, frame)}
        given_ = on_host(plan.parts.prefix, golden.evaluate(graph.input, frame)).reshape(-1)
        place = plan.input
        machine.memory[place.address:place.address + place.octets] = place.pack(given_)
        machine.run()
        for name, place in plan.places.items():
            data = bytes(machine.memory[place.address:place.address + place.octets])
            assert (place.unpack(data) == tensors[name].reshape(-1)).all(), name


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(network=networks(), config=st.sampled_from(CONFIGS), limit=st.sampled_from([None, 0, 3000]))
def test_any_network(network, config, limit):
    graph, frames = network
    plan = schedule(graph, config, resident_limit=limit)
    check(graph, frames[:3], plan)
    assert plan.resident_octets + plan.streamed_octets > 0


def layers_of(rng, *sizes, bits=1):
    """Layers of the given sizes, all on the array but for a first one of more ``bits``."""
    nodes = [Input(name="x", shape=(sizes[0],), type=Binary())]
    for index, (fan_in, channels) in enumerate(zip(sizes, sizes[1:], strict=False)):
        weights = rng.choice([-1, 1], (channels, fan_in))
        nodes.append(Dense(name=f"sums{index}", inputs=(nodes[-1].name,), weights=weights,
                           bits=1 if index else bits))
        nodes.append(Threshold(name=f"bits{index}", inputs=(f"sums{index}",),
                               levels=rng.integers(-4, 5, (channels, 1))))
    return Graph(tuple(nodes), name="layers")


@pytest.mark.parametrize("channels", [1, 7, 8, 31, 33, 63, 65])
@pytest.mark.parametrize("bits", [1, 2])
@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_padding_never_counts(channels, bits, config):
    """Channels that fill a word up are read by the next layer, and must not change its sums."""
    rng = np.random.default_rng(channels)
    graph = layers_of(rng, 100, channels, 9, bits=bits)
    check(graph, rng.choice([-1, 1], (4, 100)), schedule(graph, config))


def test_places_do_not_overlap():
    plan = schedule(layers_of(np.random.default_rng(0), 100, 65, 33, 9), CONFIGS[1])
    at = 0
    for place in plan.places.values():
        assert place.address == at
        at += place.octets
    stores = [packet for packet in plan.resident if packet.opcode is Opcode.STORE]
    assert stores[0].address * plan.config.memory_width // 8 == at


@pytest.mark.parametrize("limit", [0, 1, 5000, 9000, None])
def test_resident_weights(limit):
    """They fill what is allowed, but for less than a tile, and are spread over the frame."""
    graph = layers_of(np.random.default_rng(0), 512, 64, 64, 64)
    plan = schedule(graph, Config(), resident_limit=limit)
    total = plan.resident_octets + plan.streamed_octets
    tile = 16 * 32
    room = total if limit is None else min(limit, total)
    assert room - tile < plan.resident_octets <= room
    kinds = [packet.opcode is Opcode.RESIDENT for packet in plan.program
             if packet.opcode in (Opcode.RESIDENT, Opcode.WEIGHTS)]
    share = plan.resident_octets / total
    taken = np.cumsum(kinds) - share * np.arange(1, len(kinds) + 1)
    assert np.abs(taken).max() < 3  # tiles


def test_too_large():
    config = Config(memory_depth=64)
    graph = layers_of(np.random.default_rng(0), 4096, 8)
    with pytest.raises(UserError, match=r"^The tensors of 'sums0' to 'sums0' must fit the "
                                        r"activation memory of 512 octets, not 520$"):
        schedule(graph, config)


def test_meta_tells_the_host():
    x = Input(name="x", shape=(20,), type=Fixed(8))
    dense = Dense(name="sums", inputs=("x",), bits=8, weights=np.ones((3, 20), int))
    plan = schedule(Graph((x, dense), name="small"), Config())
    assert plan.image().meta == {
        "name": "small", "layers": ["sums"],
        "input": {"address": 0, "octets": 24}, "output": {"address": 24, "octets": 16},
    }
    assert (plan.input.name, plan.output.name) == ("x", "sums")
