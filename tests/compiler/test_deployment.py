"""What a host knows of a network, and a board that is a program to know it by."""

from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from compiler import golden
from compiler.deployment import FILE, Deployment
from compiler.errors import UserError
from compiler.host import Accelerator, HostError
from compiler.monitor import observe, view
from compiler.schedule.plan import schedule
from compiler.workload import inputs_of, open_workload
from hdl import protocol
from hdl.config import Config
from hdl.counters import CAUSES, LAYERS
from hdl.isa import Cause
from sim.link import LinkModel
from tests.compiler.wires import Wire


@pytest.fixture(scope="module")
def work():
    return open_workload(None)


@pytest.fixture(scope="module")
def deployment(work):
    return Deployment.of(schedule(work.graph, Config()), "icebreaker", 0xFEEDBEEF)


@pytest.fixture
def board(work, deployment):
    """Answers as the gateware does, by way of the golden model."""
    made = LinkModel(memory_bytes=1 << 17, counter_bytes=4 * LAYERS * CAUSES,
                     config_hash=deployment.config.hash)
    made.image_hash = deployment.image_hash
    layers = {node.name: values for node, values in golden.trace(
        work.graph, work.samples(1).x)}

    def frame():
        given, left = deployment.given, deployment.made
        x = given.unpack(bytes(made.memory[given.address:given.end]))
        assert (x == work.samples(1).x[0]).all()
        made.memory[left.address:left.end] = left.pack(layers[left.name][0])
        for at in range(4):
            for cause in Cause:
                made.counters[4 * (CAUSES * at + cause)] = 10 * at + cause

    made.on_run = frame
    return made


def test_survives_a_file(deployment, tmp_path):
    (tmp_path / FILE).write_text(deployment.text())
    found = Deployment.load(tmp_path)
    assert found.text() == deployment.text()
    assert found.prefix.meta["classes"] == tuple("0123456789")
    assert found.prefix.meta["picture"] == {"shape": (8, 8, 1), "white": 16}


def test_runs(board, deployment, work):
    x = work.samples(1).x
    answers = deployment.run(Accelerator(Wire(board)), x)
    np.testing.assert_array_equal(answers, golden.run(work.graph, x))


def test_values_out_of_range(deployment):
    with pytest.raises(UserError, match="^Values of 'x' must lie between 0 and 31, not 0 and 32$"):
        deployment.inputs(np.array([[0] * 63 + [32]]))


def test_inputs_have_the_names_of_the_network(deployment, work):
    found = inputs_of(deployment.prefix, work.data)
    assert len(found) == 445
    assert found.classes == tuple("0123456789")


@pytest.mark.parametrize(("change", "line"), [
    ({"config": Config(simd=16)}, "bitstream of network 'digits', which is 0x.{8}, not 0x.{8}"),
    ({"image_hash": 1}, "image of network 'digits', which is 0x00000001, not 0xfeedbeef")])
def test_board_with_another_network(board, deployment, change, line):
    identity = Accelerator(Wire(board)).identify()
    deployment.check(identity)
    with pytest.raises(HostError, match=f"^The board must have the {line}; write it with `flash`$"):
        replace(deployment, **change).check(identity)


@pytest.mark.parametrize("damage", [
    lambda text: "", lambda text: text[:-10], lambda text: "[]", lambda text: "{}",
    lambda text: text.replace('"Fixed"', '"Float"'), lambda text: text.replace('"suffix"', '"end"'),
    lambda text: text.replace('"pe": 8', '"pe": 7')])
def test_damaged_file(deployment, tmp_path, damage):
    (tmp_path / FILE).write_text(damage(deployment.text()))
    with pytest.raises(UserError, match=f"^'{tmp_path / FILE}' must be as this version writes it; "
                                        "build it again "):
        Deployment.load(tmp_path)


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=f"^'{tmp_path}' must be a folder that `build` has made, "
                                        f"with {FILE} in it: No such file or directory$"):
        Deployment.load(tmp_path)


# Monitor

def text_of(seen):
    console = Console(width=100)
    with console.capture() as capture:
        console.print(view(seen))
    return capture.get()


def test_monitor(board, deployment, work):
    accelerator = Accelerator(Wire(board))
    seen = observe(deployment, accelerator)
    assert (seen["status"], seen["last_run"], seen["cycles"]) == ("READY", 0, None)
    assert "READY, last run none" in text_of(seen)
    deployment.run(accelerator, work.samples(1).x)
    seen = observe(deployment, accelerator)
    rows = [{cause.name.lower(): 10 * at + cause for cause in Cause} for at in range(4)]
    rows = [{"total": sum(row.values())} | row for row in rows]
    names = deployment.layers
    assert seen["cycles"]["layers"] == [{"name": name} | row
                                        for name, row in zip(names, rows[:3], strict=True)]
    assert seen["cycles"]["after"] == {key: count for key, count in rows[3].items()
                                       if key != "total"}
    assert seen["cycles"]["frame"] == sum(row["total"] for row in rows)
    assert seen["frame_ms"] == round(seen["cycles"]["frame"] / 24_000, 4)
    link = seen["link"]
    assert (link["retries"], link["damaged"], link["silent"]) == (0, 0, 0)
    assert link["requests"] == accelerator.link.traffic.requests
    assert link["length"] == protocol.MAX_PAYLOAD
    text = text_of(seen)
    assert f"frame         {seen['cycles']['frame']} cycles" in text
    assert [line.split() for line in text.splitlines() if " fc1 " in line] == [
        ["fc1", *(str(count) for count in rows[1].values())]]
