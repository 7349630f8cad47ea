import pytest

from compiler.executors import Golden
from hdl.config import Config
from sim.fuzz import hunt as module
from sim.fuzz import trial
from sim.fuzz.hunt import Tally, Wanted, hold, hunt, reason
from sim.fuzz.saved import load
from sim.fuzz.trial import Differs


def test_all_agree(tmp_path):
    """A few of the networks that `python -m sim.fuzz` runs: other ones from each seed."""
    tally = Tally()
    assert list(hunt(Wanted(40, 10), 0, tmp_path, tally)) == []
    assert (tally.c, tally.rtl) == (40, 10)
    assert sum(tally.refused["passes"].values()) < 20
    assert not list(tmp_path.iterdir())


@pytest.fixture
def wrong_c(monkeypatch):
    """The C makes one value wrong, in pictures of more than two lines."""
    class Wrong(Golden):
        def __init__(self, graph, cflags):
            super().__init__(graph)

        def trace(self, x):
            made = {name: values.copy() for name, values in super().trace(x).items()}
            for values in made.values():
                if values.ndim == 4 and values.shape[1] > 2:
                    values[-1, 2, 0, 0] += 1
            return made

    monkeypatch.setattr(trial, "Native", Wrong)
    monkeypatch.setattr(module, "ways", lambda: (lambda ready: trial.hold_c(ready, ()),))


def test_a_failure_is_reduced_and_saved(tmp_path, wrong_c):
    hunting = hunt(Wanted(30, 0), 5, tmp_path, Tally())
    failure = next(hunting)
    assert str(failure).startswith("seed 5: Differs: c: sample ")
    assert str(failure).endswith(f"; python -m sim.fuzz --replay {failure.path}")
    network = load(failure.path)
    assert len(network.graph.nodes) <= 4
    with pytest.raises(Differs):
        hold(network, Config(), Tally(), rtl=False)
    hunting.close()


def test_reason_has_no_names_and_numbers():
    refusal = ValueError("Node 'sums 3': its sums must span less than 27 bits, not -8.5 to 'x'")
    assert reason(refusal) == "Node '...': its sums must span less than # bits, not # to '...'"
