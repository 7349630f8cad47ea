"""All boards, by name."""

from boards import icebreaker, ulx3s


__all__ = ["BOARDS"]


BOARDS = {board.name: board for board in (icebreaker.BOARD, ulx3s.BOARD)}
