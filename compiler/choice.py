"""Which array a network gets: as asked for, the largest that takes it, or the smallest that is
fast enough."""

from __future__ import annotations

from itertools import groupby
from math import floor

from boards.board import Board
from compiler.errors import UserError
from compiler.ir import Graph
from compiler.perf import Performance
from compiler.schedule.fit import arrays
from compiler.schedule.plan import Schedule, schedule
from hdl.config import Config


__all__ = ["choose"]


def choose(graph: Graph, board: Board, lanes: int | None = None,
           target_fps: float | None = None) -> tuple[Schedule, Performance]:
    """Schedule an integer graph for an array that ``board`` holds.

    That is the best one of ``lanes``, or of as many as take the network: fewer lanes may leave more
    memory. With ``target_fps`` it is the smallest by which the network reaches so many frames a
    second at the board's clock. Raises UserError where there is none.
    """
    refusals: dict[Config, UserError] = {}
    if target_fps is None:
        firsts = [next(same) for _, same in groupby(arrays(board, lanes), lambda one: one.lanes)]
        for config in reversed(firsts):
            try:
                plan = schedule(graph, config)
            except UserError as refusal:
                refusals[config] = refusal
                continue
            return plan, plan.performance
        raise refusals[max(refusals, key=memory)]
    reached: dict[float, Config] = {}
    for config in arrays(board, lanes):
        try:
            plan = schedule(graph, config)
        except UserError as refusal:
            refusals[config] = refusal
            continue
        cycles = plan.performance
        fps = config.clock_hz / cycles.frame
        if fps >= target_fps:
            return plan, cycles
        reached[fps] = config
    if not reached:
        raise refusals[max(refusals, key=memory)]
    best = max(reached)
    array = reached[best]
    raise UserError(f"Network {graph.name!r} must be asked for at most {floor(10 * best) / 10} "
                    f"frames/s on board {board.name!r}, which {array.p} x {array.pe} x "
                    f"{array.simd} lanes make, not {target_fps:.10g}")


def memory(config: Config) -> int:
    """Return the bits of the activation memory."""
    return config.memory_width * config.memory_depth
