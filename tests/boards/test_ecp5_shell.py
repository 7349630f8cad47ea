import pytest

from boards.ecp5_shell import DIVIDER, PHASE_DETECTOR_HZ, VCO_HZ, pll_dividers


@pytest.mark.parametrize("reference", [12_000_000, 25_000_000, 48_000_000])
def test_dividers(reference):
    """Every rate of whole half megahertz is made exactly and within limits, or refused."""
    made = 0
    for wanted in range(10_000_000, 200_000_000, 500_000):
        try:
            divided, times, output = pll_dividers(reference, wanted)
        except ValueError:
            continue
        made += 1
        assert reference * times == wanted * divided
        assert PHASE_DETECTOR_HZ[0] <= reference / divided <= PHASE_DETECTOR_HZ[1]
        assert VCO_HZ[0] <= wanted * output <= VCO_HZ[1]
        assert max(divided, times, 2 * output) <= DIVIDER
    assert made > 10


def test_ulx3s():
    assert pll_dividers(25_000_000, 125_000_000) == (1, 5, 4)


def test_refuses():
    with pytest.raises(ValueError, match=r"^'wanted_hz' must be a frequency that the PLL makes of "
                                         r"25000000 Hz, not 120000000$"):
        pll_dividers(25_000_000, 120_000_000)
