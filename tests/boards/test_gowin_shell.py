import pytest

from boards.gowin_shell import DIVIDER, OUTPUTS, PHASE_DETECTOR_HZ, VCO_HZ, pll_dividers


@pytest.mark.parametrize("reference", [12_000_000, 27_000_000, 50_000_000])
def test_dividers(reference):
    """Every rate of whole half megahertz is made exactly and within limits, or refused."""
    made = 0
    for wanted in range(10_000_000, 200_000_000, 500_000):
        try:
            divided, times, output = pll_dividers(reference, wanted)
        except ValueError:
            continue
        made += 1
        assert reference * (times + 1) == wanted * (divided + 1)
        assert PHASE_DETECTOR_HZ[0] <= reference / (divided + 1) <= PHASE_DETECTOR_HZ[1]
        assert VCO_HZ[0] <= wanted * output <= VCO_HZ[1]
        assert max(divided, times) < DIVIDER
        assert output in OUTPUTS
    assert made > 10


def test_tangnano9k():
    assert pll_dividers(27_000_000, 81_000_000) == (0, 2, 8)


def test_refuses():
    with pytest.raises(ValueError, match=r"^'wanted_hz' must be a frequency that the PLL makes of "
                                         r"27000000 Hz, not 80000001$"):
        pll_dividers(27_000_000, 80_000_001)
