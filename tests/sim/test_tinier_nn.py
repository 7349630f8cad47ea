"""Networks of bits alone, as tinier-nn has them, from the file to the gateware."""

import numpy as np
import pytest

from boards.catalogue import BOARDS
from compiler import golden, models
from compiler.datasets import load as load_data
from compiler.executors import Golden, classes_of
from compiler.frontends import load
from compiler.passes import to_integer
from compiler.perf import estimate
from compiler.schedule.fit import fit
from compiler.schedule.plan import schedule
from compiler.verify import hold
from hdl.isa import Cause
from sim.native import Native
from sim.rtl import Rtl
from tests.compiler.frontends.real_data import shared
from tests.compiler.frontends.test_tinier_nn import (
    REFERENCE,
    original,
    packed,
    random_layers,
    written,
)


XOR = load_data("xor")
ICEBREAKER = fit(BOARDS["icebreaker"])


def ran(graph, x):
    """Return the answers, which golden model, C and gateware have in common in every layer, as
    they have the cycles that were foretold."""
    answers = golden.run(graph, x)
    plan = schedule(graph, ICEBREAKER)
    rtl = Rtl(plan)
    for name, executor in ("c", Native(graph)), ("rtl", rtl):
        mismatch, found = hold(name, executor, Golden(graph), x, answers)
        assert mismatch is None
        np.testing.assert_array_equal(found, answers)
    assert rtl.frame_cycles == estimate(plan).frame
    assert rtl.complaints == []
    return answers, plan


def test_words_of_the_original():
    answers, plan = ran(to_integer(load(shared("tinier-nn/model.def"))), XOR.x)
    assert [f"{packed(answer[::-1])[0]:032b}" for answer in answers] == REFERENCE
    assert classes_of(answers, voted=True).tolist() == XOR.labels.tolist() == [1, 0, 0, 1]
    assert (answers == np.where(XOR.labels, 1, -1)[:, None]).sum() == 123


def test_shipped_network():
    answers, plan = ran(to_integer(load(models.network("xor"))), XOR.x)
    assert classes_of(answers, voted=True).tolist() == [1, 0, 0, 1]
    assert estimate(plan).frame == 730


@pytest.mark.parametrize("counts", [(32, 32), (96, 32, 160), (64, 256, 96, 32)])
def test_random_networks(tmp_path, counts):
    """Also against the words of the program of the format."""
    path = tmp_path / "model.def"
    path.write_bytes(written(random_layers(counts, len(counts))))
    x = np.random.default_rng(0).choice([-1, 1], (4, counts[0]))
    answers, _ = ran(to_integer(load(path)), x)
    for row, answer in zip(x, answers, strict=True):
        assert packed(answer) == original(path.read_bytes(), packed(row))


def test_cost():
    """8,192 bits of weights, all in the chip: 256 words of 32 bits, of which the array takes those
    of its 8 channels in a cycle."""
    plan = schedule(to_integer(load(models.network("xor"))), ICEBREAKER)
    assert sum(layer.sums.weights.size for layer in plan.parts.body) == 8192
    assert (plan.resident_octets, plan.streamed_octets) == (8192 // 8, 0)
    work = [layer.causes[Cause.WORK] for layer in estimate(plan).layers]
    assert work == [8, 16, 8]
    assert sum(work) == 256 // ICEBREAKER.pe
