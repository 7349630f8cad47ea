import re

import pytest

from boards.catalogue import BOARDS
from compiler.estimator.counts import CHIPS, chip_of, counted, device_of, memories
from hdl.config import Config
from hdl.top import Accelerator


BOARD = BOARDS["icebreaker"]


@pytest.mark.parametrize("config", [
    Config(), Config(p=4, pe=16, simd=16, fixed_pe=8, flash_depth=512, level_depth=64),
    Config(p=8, simd=8, fixed_pe=8, weight_depth=512, binary_width=8, fixed_width=20),
    Config(pe=32, weight_depth=512, sign_depth=20)])
def test_counts_are_those_of_the_gateware(config):
    """Before synthesis, which may turn no block into another."""
    plan = BOARD.platform().prepare(BOARD.shell(Accelerator(config), config.clock_hz), "top")
    text = plan.files["top.il"]
    text = text if isinstance(text, str) else text.decode()
    found = re.findall(r"^ *memory width (\d+) size (\d+) ", text, re.MULTILINE)
    activations = [(config.memory_width, config.memory_depth)] * config.two_ports
    assert sorted(memories(config) + activations) == sorted(
        (int(bits), int(depth)) for bits, depth in found)
    counts = counted(config, chip_of(BOARD))
    assert counts["spram"] == len(re.findall(r"^ *cell \\SB_SPRAM256KA ", text, re.MULTILINE))
    assert counts["dsp"] == len(re.findall(r"^ *cell \\SB_MAC16 ", text, re.MULTILINE))


@pytest.mark.parametrize(("fields", "ebr"), [
    ({}, 16 + 2 + 2 + 1 + 1 + 2 + 1),
    ({"pe": 16}, 32 + 2 + 2 + 1 + 1 + 2 + 1),
    ({"weight_depth": 512}, 32 + 2 + 2 + 1 + 1 + 2 + 1),
    ({"level_depth": 1024}, 16 + 7 + 2 + 1 + 1 + 2 + 1),  # seven of 4 bits
    ({"flash_depth": 16}, 16 + 2 + 2 + 1 + 1 + 2 + 1),
])
def test_block_rams(fields, ebr):
    assert counted(Config(**fields), CHIPS["iCE40UP5K"])["ebr"] == ebr


@pytest.mark.parametrize(("simd", "dsp"), [(8, 4), (16, 4), (32, 8), (64, 16)])
def test_multipliers_make_two_products(simd, dsp):
    config = Config(p=4, simd=simd, binary_width=11, fixed_width=23)
    assert counted(config, CHIPS["iCE40UP5K"])["dsp"] == dsp


@pytest.mark.parametrize("board", BOARDS.values(), ids=list(BOARDS))
def test_device(board):
    assert device_of(board) in CHIPS
