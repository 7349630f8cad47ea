"""All boards, by name."""

from boards import icebreaker, orangecrab, ulx3s


__all__ = ["BOARDS"]


BOARDS = {board.name: board for board in (
    icebreaker.BOARD, orangecrab.BOARD, ulx3s.BOARD)}
