"""All boards, by name."""

from boards import icebreaker, icesugar, orangecrab, ulx3s


__all__ = ["BOARDS"]


BOARDS = {board.name: board for board in (
    icebreaker.BOARD, icesugar.BOARD, orangecrab.BOARD, ulx3s.BOARD)}
