import random

import pytest

from sim.noise import Noise


OCTETS = random.Random(1).randbytes(20_000)


def test_quiet_line():
    assert Noise()(OCTETS) == OCTETS


@pytest.mark.parametrize("share", [0.01, 0.5])
def test_damage(share):
    arrived = Noise(share, seed=3)(OCTETS)
    assert len(arrived) == len(OCTETS)
    wrong = sum(a != b for a, b in zip(arrived, OCTETS, strict=True))
    assert wrong / len(OCTETS) == pytest.approx(share, rel=0.2)


@pytest.mark.parametrize("share", [0.01, 0.5])
def test_loss(share):
    arrived = Noise(loss=share, seed=3)(OCTETS)
    assert 1 - len(arrived) / len(OCTETS) == pytest.approx(share, rel=0.2)
    rest = iter(OCTETS)
    assert all(octet in rest for octet in arrived)  # in their order


def test_seed_tells():
    def spoiled(seed):
        return Noise(0.1, 0.1, seed)(OCTETS)
    assert spoiled(1) == spoiled(1) != spoiled(2)
