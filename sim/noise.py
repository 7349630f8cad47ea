"""A serial line on which not everything arrives as it was sent."""

import random


__all__ = ["Noise"]


class Noise:
    """Changes each octet with the probability ``damage`` to another, and loses it with ``loss``.

    The same ``seed`` does the same to the same octets.
    """

    def __init__(self, damage: float = 0.0, loss: float = 0.0, seed: int = 1) -> None:
        self.damage = damage
        self.loss = loss
        self._chance = random.Random(seed)

    def __call__(self, octets: bytes) -> bytes:
        """Return what arrives of ``octets``."""
        arrived = bytearray()
        for octet in octets:
            fate = self._chance.random()
            if fate >= self.loss:
                spoiled = fate < self.loss + self.damage
                arrived.append(octet ^ self._chance.randrange(1, 256) if spoiled else octet)
        return bytes(arrived)
