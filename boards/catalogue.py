"""All boards, by name."""

from boards import icebreaker


__all__ = ["BOARDS"]


BOARDS = {board.name: board for board in (icebreaker.BOARD,)}
