import numpy as np
import pytest

from compiler.schedule import packets as make
from compiler.schedule.places import Room
from compiler.schedule.program import Writer, joined
from compiler.schedule.residency import Choice, Run
from compiler.schedule.tiles import Tile
from hdl.config import Config
from hdl.isa import Opcode


CONFIG = Config(weight_depth=16, level_depth=64)
RNG = np.random.default_rng(0)


def tile(words, levels=8):
    return Tile(RNG.integers(-99, 99, levels), RNG.integers(0, 256, (words, 32), np.uint8))


def layer(name):
    return make.Packet(Opcode.LAYER, name=name)


def written(choice, *layers):
    """The writer, after it was given layers of tiles."""
    writer = Writer(CONFIG, choice, [tile for tiles in layers for tile in tiles])
    for at, tiles in enumerate(layers):
        writer.add(layer(f"layer{at}"), len(tiles), fixed=False)
    return writer


def told(packets):
    return [(packet.opcode.name, packet.name or packet.count) for packet in packets]


def test_order():
    """Tiles come ahead of their layer as told; a room is filled behind the layer that frees it."""
    tiles = [tile(4) for _ in range(5)]
    rooms = (Room(0, 0, 50), Room(1, 50, 99))
    runs = ((Run(4),), (Run(4),), (Run(4),), (Run(1), Run(3, 0, 7)), (Run(4, 1, 60),))
    writer = written(Choice(runs, rooms, (1, 2, 1), 0.0), tiles[:1], tiles[1:4], tiles[4:])
    assert told(writer.program) == [
        ("LEVELS", 8), ("WEIGHTS", 4), ("LAYER", "layer0"),
        ("LEVELS", 16), ("WEIGHTS", 8), ("LAYER", "layer1"),
        ("LEVELS", 8), ("WEIGHTS", 1), ("RESIDENT", 3), ("STORE", 4 * 16),
        ("LEVELS", 8), ("RESIDENT", 4), ("LAYER", "layer2")]
    store, copy = writer.program[9], writer.program[11]
    assert store.address == copy.address == 60
    assert store.halves.tobytes() == tiles[4].weights.tobytes()
    assert told(writer.resident) == [("STORE", 3 * 16)]
    assert writer.resident[0].halves.tobytes() == tiles[3].weights[1:].tobytes()


def test_levels_come_some_at_a_time():
    """So the level queue holds those of the next tiles, too."""
    tiles = [tile(1) for _ in range(9)]
    runs = ((Run(1),),) * 9
    writer = written(Choice(runs, (), (1,), 0.0), tiles)
    assert told(writer.program) == [
        ("LEVELS", 8), ("WEIGHTS", 1), ("LAYER", "layer0"),
        ("LEVELS", 32), ("WEIGHTS", 4), ("LEVELS", 32), ("WEIGHTS", 4)]
    levels = np.concatenate([packet.halves.view("<i2") for packet in writer.program
                             if packet.opcode is Opcode.LEVELS])
    assert (levels == np.concatenate([of.levels for of in tiles])).all()


@pytest.mark.parametrize("room", [None, 0])
def test_a_tile_that_does_not_fit(room):
    """Its layer comes behind what the queue holds of it, or would wait for itself."""
    writer = written(Choice(((Run(40, room, 8),),), (Room(0, 0, 999),), (1,), 0.0), [tile(40)])
    kind = "WEIGHTS" if room is None else "RESIDENT"
    assert told(writer.program) == [("LEVELS", 8), (kind, 16), ("LAYER", "layer0"), (kind, 16),
                                    (kind, 8)]
    assert [packet.address for packet in writer.program[1::2]][:1] == [0 if room is None else 8]


def test_joined():
    runs = [Run(1), Run(2), Run(3, 0, 10), Run(4, 0, 22), Run(5, 1, 38), Run(6, 1, 59), Run(7)]
    assert joined(runs, 4) == [Run(3), Run(7, 0, 10), Run(5, 1, 38), Run(6, 1, 59), Run(7)]
    assert joined([], 4) == []
