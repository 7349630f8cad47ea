"""Any use of the activation memory for weights that is right, however slow."""

from compiler.schedule.residency import Choice, fitting, settle
from hdl.isa import Opcode


__all__ = ["any_choice", "stored_octets"]


def any_choice(rng, draft):
    """Copy some words of some tiles from any rooms, and let tiles come ahead as far as they fit."""
    config, loads = draft.config, draft.loads
    space = draft.rooms([None, None, 2000][rng.integers(3)])
    share = rng.choice([0.1, 0.5, 0.9, 1])
    wanted, ahead, at = [], [], 0
    for load in loads:
        cut = int(rng.integers(1, load.words + 1))
        wanted.append([(words, bool(rng.random() < share))
                       for words in (cut, load.words - cut) if words])
    for own in draft.work:
        most = fitting(loads[at:], config, loads[at - 1] if at else None)
        ahead.append(int(rng.integers(1, max(most, 1) + 1)))
        at += len(own)
    return Choice(settle(loads, wanted, space, config), space, tuple(ahead), 0.0)


def stored_octets(plan):
    """Octets that are stored within a frame."""
    return 2 * sum(packet.count for packet in plan.program if packet.opcode is Opcode.STORE)
