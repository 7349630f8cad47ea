import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.schedule.residency import Load, finish, residents, spread
from hdl.config import Config


WORD = 32  # octets


def loads_of(*layers):
    """Layers of (tiles, words of a tile, cycles of a tile)."""
    return [Load(words, WORD * words, cycles, at)
            for at, (tiles, words, cycles) in enumerate(layers) for _ in range(tiles)]


some_loads = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 300), st.integers(1, 20)),
                      min_size=1, max_size=5).map(
    lambda layers: loads_of(*((tiles, words, words * passes) for tiles, words, passes in layers)))


@given(loads=some_loads, room=st.integers(0, 100_000), full=st.booleans())
def test_residents_fit_and_gain(loads, room, full):
    config = Config(flash_full_rate=full)
    chosen = residents(loads, room, config)
    assert len(chosen) == len(loads)
    assert sum(load.octets for load, stays in zip(loads, chosen, strict=True) if stays) <= room
    assert finish(loads, chosen, config) <= finish(loads, spread(loads, room), config)


@given(loads=some_loads, seed=st.integers(0, 2**32 - 1))
def test_no_frame_beats_its_bounds(loads, seed):
    """Neither the flash nor the units can do more than one thing at a time."""
    config = Config()
    resident = np.random.default_rng(seed).random(len(loads)) < 0.5
    streamed = sum(load.octets for load, stays in zip(loads, resident, strict=True) if not stays)
    cycles = finish(loads, list(resident), config)
    assert cycles >= max(streamed, sum(load.cycles for load in loads))
    assert cycles <= sum(load.octets + load.cycles for load in loads)


def test_one_layer_of_dense_weights_is_spread():
    """Nothing is gained where all tiles are alike."""
    loads = loads_of((32, 32, 32))
    room = 10 * 32 * WORD
    assert residents(loads, room, Config()) == spread(loads, room)
    kept = np.flatnonzero(spread(loads, room))
    assert len(kept) == 10
    assert set(np.diff(kept)) <= {3, 4}


def test_late_layers_stay():
    """The first layer computes for long, while the flash could fetch all that it needs."""
    loads = loads_of((8, 18, 7000), (64, 16, 16))
    room = 32 * 16 * WORD
    chosen = residents(loads, room, Config())
    assert not any(chosen[:8])
    assert sum(chosen) == 32
    assert finish(loads, chosen, Config()) < finish(loads, spread(loads, room), Config())


@pytest.mark.parametrize(("loads", "resident", "cycles"), [
    (loads_of((1, 10, 10)), [False], 320),
    (loads_of((1, 10, 10)), [True], 40),
    (loads_of((1, 10, 1000)), [False], 320 + 990),
    (loads_of((2, 10, 1000)), [False, False], 320 + 990 + 1000),
    # The last 56 of 156 words wait until the first tile is done.
    (loads_of((1, 156, 9000), (1, 156, 156)), [False, False],
     156 * 32 + 9000 - 156 + 56 * 32),
])
def test_finish(loads, resident, cycles):
    assert finish(loads, resident, Config()) == cycles
