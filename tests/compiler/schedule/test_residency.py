import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.schedule.places import Room
from compiler.schedule.residency import Load, Run, choices, finish, fitting, settle, spread
from hdl.config import Config


WORD = 32  # octets
ADDRESSES = 4  # of a word


def loads_of(*layers):
    """Layers of (tiles, words of a tile, cycles of a tile)."""
    return [Load(words, WORD * words, cycles, at, 8)
            for at, (tiles, words, cycles) in enumerate(layers) for _ in range(tiles)]


def streamed(loads):
    """Runs where nothing is copied."""
    return tuple((Run(load.words),) for load in loads)


some_loads = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 300), st.integers(1, 20)),
                      min_size=1, max_size=5).map(
    lambda layers: loads_of(*((tiles, words, words * passes) for tiles, words, passes in layers)))


@st.composite
def some_rooms(draw):
    """Rooms that follow each other, with and without gaps."""
    found, at = [], 0
    for layer in sorted(draw(st.lists(st.integers(0, 4), max_size=4))):
        begin = at + draw(st.integers(0, 3))
        at = begin + draw(st.integers(1, 4000))
        found.append(Room(layer, begin, at))
    return found


def check_runs(loads, runs, rooms):
    """Runs are all words of their tiles; what is copied lies in a room, in time, and alone."""
    taken = {}
    assert len(runs) == len(loads)
    for load, parts in zip(loads, runs, strict=True):
        assert sum(run.words for run in parts) == load.words
        for run in parts:
            assert run.words > 0
            if run.room is not None:
                room = rooms[run.room]
                assert room.layer < load.layer or room.layer == 0
                end = run.address + ADDRESSES * run.words
                assert room.begin <= run.address < end <= room.end
                for address in range(run.address, end):
                    assert taken.setdefault(address, run) is run


@given(loads=some_loads, rooms=some_rooms(), full=st.booleans())
def test_choices_fit_and_gain(loads, rooms, full):
    config = Config(flash_full_rate=full)
    rooms = [room for room in rooms if room.layer <= loads[-1].layer]
    found = choices(loads, rooms, config)
    for choice in found:
        check_runs(loads, choice.runs, choice.rooms)
        for room in choice.rooms:
            assert any(room.layer == of.layer and of.begin == room.begin and room.end <= of.end
                       for of in rooms)
        assert len(choice.ahead) == loads[-1].layer + 1
        assert choice == finish(loads, choice.runs, choice.rooms, config)
    assert found[0].cycles <= 1.01 * min(choice.cycles for choice in found)
    assert found[0].cycles <= 1.01 * finish(loads, streamed(loads), (), config).cycles


@given(loads=some_loads, rooms=some_rooms(), seed=st.integers(0, 2**32 - 1))
def test_settle(loads, rooms, seed):
    rng = np.random.default_rng(seed)
    wanted = []
    for load in loads:
        cut = int(rng.integers(1, load.words + 1))
        wanted.append([(words, bool(rng.random() < 0.6))
                       for words in (cut, load.words - cut) if words])
    runs = settle(loads, wanted, rooms, Config())
    check_runs(loads, runs, rooms)
    asked = sum(words for of in wanted for words, copied in of if copied)
    copied = sum(run.words for of in runs for run in of if run.room is not None)
    always = sum((room.end - room.begin) // ADDRESSES for room in rooms if room.layer == 0)
    assert min(asked, always) <= copied <= asked


def test_settled_words_lie_in_turn():
    """So a packet can copy them; and what is free last is taken first, by the last words."""
    loads = loads_of((2, 10, 10), (0, 0, 0), (2, 10, 10))
    rooms = [Room(0, 100, 200), Room(1, 0, 42)]
    wanted = [[(10, True)], [(10, True)], [(10, True)], [(3, False), (7, True)]]
    assert settle(loads, wanted, rooms, Config()) == (
        (Run(2), Run(8, 0, 100)), (Run(10, 0, 132),),
        (Run(7, 0, 172), Run(3, 1, 2)), (Run(3), Run(7, 1, 14)))


@given(loads=some_loads, size=st.integers(0, 100_000), grain=st.sampled_from([1, 8, 4096]))
def test_spread(loads, size, grain):
    """It fills the room, but for a piece, and pieces are whole."""
    found = spread(loads, size, grain, Config())
    kept = 0
    for load, pieces in zip(loads, found, strict=True):
        assert sum(words for words, _ in pieces) == load.words
        assert all(words % grain == 0 for words, _ in pieces[:-1])
        kept += WORD * sum(words for words, copied in pieces if copied)
    total = sum(load.octets for load in loads)
    piece = WORD * min(grain, max(load.words for load in loads))
    assert min(size, total) - piece < kept <= size


@given(loads=some_loads, rooms=some_rooms(), seed=st.integers(0, 2**32 - 1))
def test_no_frame_beats_its_bounds(loads, rooms, seed):
    """Neither the flash nor the units can do more than one thing at a time."""
    rng, config = np.random.default_rng(seed), Config()
    rooms = [room for room in rooms if room.layer < loads[-1].layer]
    wanted = [[(load.words, bool(rng.random() < 0.5))] for load in loads]
    runs = settle(loads, wanted, rooms, config)
    fetched = sum(run.words * WORD for of in runs for run in of
                  if run.room is None or rooms[run.room].layer)
    found = finish(loads, runs, tuple(rooms), config)
    assert found.cycles >= sum(load.cycles for load in loads)
    assert found.cycles >= fetched
    assert found.cycles <= 4 * sum(load.octets + load.cycles + load.levels for load in loads)


def test_one_layer_of_dense_weights_is_spread():
    """Nothing is gained where all tiles are alike, but to begin at once."""
    loads = loads_of((32, 32, 32))
    best = choices(loads, [Room(0, 0, 10 * 32 * ADDRESSES)], Config())[0]
    kept = np.array([sum(run.words for run in of if run.room is not None) for of in best.runs])
    share = np.cumsum(kept) / 32 - 10 / 32 * np.arange(1, 33)
    assert np.abs(share).max() < 1.5


def test_late_layers_stay():
    """The first layer computes for long, while the flash could fetch all that it needs."""
    loads = loads_of((8, 18, 7000), (64, 16, 16))
    best = choices(loads, [Room(0, 0, 32 * 16 * ADDRESSES)], Config())[0]
    copied = [any(run.room is not None for run in of) for of in best.runs]
    assert not any(copied[:8])
    assert sum(copied) >= 32
    assert best.ahead[1] == fitting(loads[8:], Config(), loads[7])


def test_dead_memory_is_filled():
    """Where a layer computes for long: not where all wait for the flash."""
    rooms = [Room(0, 0, 1000), Room(1, 1000, 3000)]
    convs = loads_of((4, 9, 9000), (8, 18, 7000), (64, 16, 16))
    best = choices(convs, rooms, Config())[0]
    assert {run.room for of in best.runs for run in of} == {None, 0, 1}
    dense = loads_of((32, 32, 32), (32, 32, 32), (32, 32, 32))
    assert all(room.layer == 0 for choice in choices(dense, rooms, Config())
               for room in choice.rooms)


@pytest.mark.parametrize(("loads", "words"), [
    (loads_of((10, 36, 36)), 7), (loads_of((3, 36, 36)), 3), (loads_of((2, 300, 300)), 0),
    (loads_of((40, 1, 1)), 32), (loads_of((2, 9, 9), (5, 9, 9)), 2)])
def test_fitting(loads, words):
    assert fitting(loads, Config()) == words
    assert fitting(loads, Config(), Load(256, 8192, 256, 0)) == 0


@pytest.mark.parametrize(("loads", "copied", "cycles"), [
    # Ten halfwords are no weights: eight levels, and two for heads.
    (loads_of((1, 10, 10)), False, 20 + 320),
    (loads_of((1, 10, 10)), True, 20 + 40 * 1.125),
    (loads_of((1, 10, 1000)), False, 20 + 320 + 990),
    (loads_of((2, 10, 1000)), False, 20 + 320 + 990 + 1000),
])
def test_finish(loads, copied, cycles):
    rooms = (Room(0, 0, 4096),)
    wanted = [[(load.words, copied)] for load in loads]
    assert finish(loads, settle(loads, wanted, rooms, Config()), rooms,
                  Config()).cycles == cycles
