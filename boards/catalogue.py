"""All boards, by name."""

from boards import icebreaker, icesugar, orangecrab, tangnano9k, ulx3s


__all__ = ["BOARDS"]


BOARDS = {board.name: board for board in (
    icebreaker.BOARD, icesugar.BOARD, orangecrab.BOARD, tangnano9k.BOARD, ulx3s.BOARD)}
