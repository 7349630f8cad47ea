"""Pictures that are larger than the memory, on the gateware."""

from dataclasses import replace

import numpy as np
import pytest

from compiler import golden
from compiler.perf import estimate
from compiler.schedule.plan import schedule
from hdl.config import Config
from hdl.isa import Cause
from sim.rtl import Rtl
from tests.compiler.schedule.streams import streamed_network
from tests.sim.networks import random_frames


# A memory of 8 KiB, and a line that is fast beside the array
CONFIG = Config(memory_depth=1024, baud=6_000_000)


def run(graph, frames):
    """Run frames; every tensor as in the golden model. Returns the board and its schedule."""
    plan = schedule(graph, CONFIG)
    assert len(plan.given) > 2
    board = Rtl(plan)
    made = board.trace(frames)
    assert all(made[name] is not None for name in plan.left)
    for node, values in golden.trace(plan.placed, frames):
        if made.get(node.name) is not None:
            np.testing.assert_array_equal(made[node.name], values, err_msg=node.name)
    assert board.complaints == []
    assert board.counters == board.counts
    return board, plan


def test_a_host_that_is_fast_enough():
    """It is never waited for, and every count is as foretold."""
    rng = np.random.default_rng(0)
    graph = streamed_network(rng, (90, 20, 3), channels=64, kernel=11, stride=2, pads=(5, 5, 5, 5))
    board, plan = run(graph, random_frames(rng, graph, 2))
    expected = estimate(plan)
    assert board.counts == expected.counted
    assert board.frame_cycles == expected.frame
    assert board.flash_cycles == expected.flash_busy


@pytest.mark.parametrize("pool", [None, 3])
def test_a_host_that_is_slow(pool):
    """Layers wait for it; nothing else takes longer."""
    rng = np.random.default_rng(1)
    graph = streamed_network(rng, (200, 20, 3), channels=8, kernel=3, stride=2, pool=pool)
    board, plan = run(graph, random_frames(rng, graph))
    waited = sum(row[Cause.HOST] for row in board.counts)
    assert waited > 0
    assert board.frame_cycles - waited <= estimate(plan).frame


def test_parts_at_the_wrong_place_are_seen():
    rng = np.random.default_rng(2)
    graph = streamed_network(rng, (200, 20, 3), channels=8, kernel=3, stride=2)
    frames = random_frames(rng, graph)
    plan = schedule(graph, CONFIG)
    first, second, *others = plan.given
    moved = tuple(replace(piece, address=piece.address + 8) for piece in second)
    board = Rtl(replace(plan, given=(first, moved, *others)))
    right = {node.name: values for node, values in golden.trace(plan.placed, frames)}
    assert (board.trace(frames)["made"] != right["made"]).any()
