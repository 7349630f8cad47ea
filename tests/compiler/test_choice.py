import re

import numpy as np
import pytest

from boards.catalogue import BOARDS
from compiler.choice import choose
from compiler.errors import UserError
from compiler.ir import Binary, Conv, Graph, Input, Threshold
from compiler.perf import estimate
from compiler.schedule.fit import arrays, fit
from compiler.schedule.plan import schedule
from compiler.workload import open_workload


BOARD = BOARDS["icebreaker"]


@pytest.fixture(scope="module")
def graph():
    return open_workload(None).graph


@pytest.fixture(scope="module")
def rates(graph):
    """Frames a second by every array, from the smallest on."""
    return [(config, config.clock_hz / estimate(schedule(graph, config)).frame)
            for config in arrays(BOARD)]


def test_default_is_what_fits(graph):
    plan, cycles = choose(graph, BOARD)
    assert plan.config == fit(BOARD)
    assert cycles == estimate(plan)


def test_lanes(graph):
    plan, _ = choose(graph, BOARD, lanes=256)
    assert plan.config == fit(BOARD, 256)


def test_takes_the_smallest_that_is_fast_enough(graph, rates):
    for at, (_, rate) in enumerate(rates):
        plan, cycles = choose(graph, BOARD, target_fps=rate)
        assert plan.config == next(config for config, reached in rates if reached >= rate)
        assert BOARD.clock_hz / cycles.frame >= rate
        assert plan.config in [config for config, _ in rates[:at + 1]]


def test_too_many_frames(graph, rates):
    best = max(rate for _, rate in rates)
    with pytest.raises(UserError) as refusal:
        choose(graph, BOARD, target_fps=best + 0.2)
    said = re.fullmatch(r"Network 'digits' must be asked for at most ([\d.]+) frames/s on board "
                        r"'icebreaker', which (\d+) x (\d+) x (\d+) lanes make, not [\d.]+",
                        str(refusal.value))
    assert best - 0.1 <= float(said[1]) <= best
    plan, _ = choose(graph, BOARD, target_fps=float(said[1]))
    assert [plan.config.p, plan.config.pe, plan.config.simd] == list(map(int, said.groups()[1:]))


def test_lanes_and_frames_together(graph, rates):
    best = max(rate for config, rate in rates if config.lanes == 256)
    plan, _ = choose(graph, BOARD, 256, best)
    assert plan.config.lanes == 256
    with pytest.raises(UserError, match="^Network 'digits' must be asked for at most "):
        choose(graph, BOARD, 256, best + 0.2)
    with pytest.raises(UserError, match="^Lanes of an array .* not 257$"):
        choose(graph, BOARD, 257, 1)


def test_array_whose_memory_is_too_small_is_passed_over():
    """Each of four tensors takes 48 KiB, of which the input alone may come in parts; arrays of 256
    lanes have 64 KiB."""
    nodes, last = [Input(name="x", shape=(64, 192, 32), type=Binary())], "x"
    for at in range(3):
        nodes += [Conv(name=f"sums{at}", inputs=(last,), bits=1,
                       weights=np.ones((32, 1, 1, 32), int)),
                  Threshold(name=f"bits{at}", inputs=(f"sums{at}",),
                            levels=np.zeros((32, 1), int))]
        last = f"bits{at}"
    graph = Graph((*nodes, Conv(name="sums", inputs=(last,), bits=1, stride=(64, 64),
                                weights=np.ones((8, 1, 1, 32), int))))
    plan, _ = choose(graph, BOARD, target_fps=1)
    assert plan.config.lanes == 512
    with pytest.raises(UserError, match="octets"):
        choose(graph, BOARD, 256, 1)


def test_fewer_lanes_where_they_leave_more_memory():
    """Each of two tensors takes 96 KiB; on the ULX3S, 8,192 lanes leave 128 KiB, and 2,048 twice
    as much."""
    nodes, last = [Input(name="x", shape=(96, 128, 64), type=Binary())], "x"
    for at in range(2):
        nodes += [Conv(name=f"sums{at}", inputs=(last,), bits=1,
                       weights=np.ones((64, 1, 1, 64), int)),
                  Threshold(name=f"bits{at}", inputs=(f"sums{at}",),
                            levels=np.zeros((64, 1), int))]
        last = f"bits{at}"
    graph = Graph((*nodes, Conv(name="sums", inputs=(last,), bits=1, stride=(64, 64),
                                weights=np.ones((8, 1, 1, 64), int))))
    plan, _ = choose(graph, BOARDS["ulx3s"])
    assert plan.config.lanes == 2048
    with pytest.raises(UserError, match="^Tensors .* must fit the activation memory of 131072"):
        choose(graph, BOARDS["ulx3s"], 8192)
