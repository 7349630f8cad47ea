from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded

from compiler.errors import UserError
from sim.fuzz.kinds import KINDS, kinds_of
from sim.fuzz.networks import networks
from sim.fuzz.trial import as_integers


def test_every_kind_is_drawn():
    """The passes change no answer of any, and refuse few."""
    found, refused = Counter(), []

    @seeded(0)
    @settings(max_examples=300, database=None, deadline=None,
              suppress_health_check=list(HealthCheck))
    @given(networks())
    def draw(network):
        try:
            found.update(kinds_of(network.graph, as_integers(network).graph))
        except UserError as refusal:
            refused.append(str(refusal))

    draw()
    assert set(found) == set(KINDS)
    assert len(refused) < 75
