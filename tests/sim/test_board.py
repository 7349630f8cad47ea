"""The driver that drives a board against the simulated one, with all that can happen to a line."""

import contextlib
import os
import random
import threading
import time

import numpy as np
import pytest

from compiler import golden
from compiler.deployment import FILE, Deployment
from compiler.errors import UserError
from compiler.host import Accelerator, NoAnswerError
from compiler.schedule.plan import schedule
from compiler.serial_port import SerialPort
from compiler.workload import open_workload
from hdl import protocol
from hdl.config import Config
from hdl.protocol import Command
from sim.__main__ import linked
from sim.accelerator import Simulation
from sim.board import SimulatedBoard
from sim.noise import Noise


SECONDS = 600  # that anything may take here, on a machine that is busy with other things


@pytest.fixture(scope="module")
def work():
    return open_workload(None)


@pytest.fixture(scope="module")
def folder(work, tmp_path_factory):
    """What `build` leaves for a board."""
    made = tmp_path_factory.mktemp("build")
    plan = schedule(work.graph, Config())
    image = plan.image()
    (made / "image.bin").write_bytes(image.to_bytes())
    (made / FILE).write_text(Deployment.of(plan, "icebreaker", image.hash).text())
    return made


@pytest.fixture(scope="module")
def pictures(work):
    x = work.samples(None).x
    return x, golden.run(work.graph, x)


@contextlib.contextmanager
def serving(folder, **options):
    """A simulated board that serves its port."""
    board = SimulatedBoard(folder, **options)
    thread = threading.Thread(target=board.serve, daemon=True)
    thread.start()
    try:
        yield board
    finally:
        board.stop()
        thread.join(SECONDS)
        assert not thread.is_alive()
        board.close()


@contextlib.contextmanager
def host(board):
    """A host that has opened the port, and waits as long as a busy machine takes."""
    with SerialPort(board.path, board.deployment.config.baud) as line:
        yield Accelerator(line, patience=SECONDS)


def classify(board, accelerator, pictures, until):
    """Run frames, all of which must be right, until so many requests were made."""
    x, right = pictures
    frames = 0
    while accelerator.link.traffic.requests < until:
        at = frames % len(x)
        assert board.deployment.run(accelerator, x[at:at + 1])[0] == right[at]
        frames += 1
    return frames


# On the simulator's own clock, where every run is the same

class Line:
    """The serial line of a simulation, with noise on it."""

    def __init__(self, simulation, noise):
        self._simulation, self._noise = simulation, noise

    def write(self, octets):
        self._simulation.write(self._noise(octets))

    def read(self, max_bytes, timeout):
        return self._noise(self._simulation.read(max_bytes, timeout))


def test_a_thousand_requests_with_one_percent_of_noise(folder, pictures):
    """All are answered, if need be at another try; no answer is wrong."""
    deployment = Deployment.load(folder)
    simulation = Simulation(deployment.config, (folder / "image.bin").read_bytes())
    board = type("Board", (), {"deployment": deployment})
    accelerator = Accelerator(Line(simulation, Noise(0.01, seed=3)), timeout=0.001, quiet=0.0014,
                              patience=SECONDS)
    frames = classify(board, accelerator, pictures, 1000)
    traffic = accelerator.link.traffic
    assert frames > 40
    assert traffic.requests >= 1000
    assert 100 < traffic.retries < 400
    assert simulation.complaints == []


# Behind a pseudo-terminal, on the clock of the host

def test_quiet_line(folder, pictures):
    with serving(folder) as board, host(board) as accelerator:
        assert classify(board, accelerator, pictures, 60) >= 1
        board.deployment.check(accelerator.identify())


@pytest.mark.parametrize("noise", [Noise(0.01, seed=5), Noise(loss=0.01, seed=6)],
                         ids=["damage", "loss"])
def test_noise(folder, pictures, noise):
    with serving(folder, noise=noise) as board, host(board) as accelerator:
        classify(board, accelerator, pictures, 80)
        assert accelerator.link.traffic.retries > 4


@pytest.mark.slow
def test_a_thousand_requests_of_real_hosts(folder, pictures):
    with serving(folder, noise=Noise(0.01, seed=7)) as board:
        for _ in range(4):
            with host(board) as accelerator:
                classify(board, accelerator, pictures, 250)
                assert accelerator.link.traffic.retries > 20


@pytest.mark.parametrize("octets", [3, 50, 82, 88, 96, 105])
def test_reset(folder, pictures, octets):
    """The power fails while the input comes, before the run, in it, and before the result goes."""
    with serving(folder, reset_after=octets) as board, host(board) as accelerator:
        classify(board, accelerator, pictures, 25)
        assert board.resets == 1


def test_hosts_in_a_row(folder, pictures):
    """A host finds a board as another has left it, in the middle of whatever."""
    read = protocol.pack(Command.READ, 9, protocol.address(0) + bytes((255,)))
    with serving(folder) as board:
        for last_words in (read, read[:5], protocol.pack(Command.RUN, 77), b"\xA5" * 300,
                           random.Random(1).randbytes(500)):
            with host(board) as accelerator:
                classify(board, accelerator, pictures, 8)
            with SerialPort(board.path, 3_000_000) as line:
                line.write(last_words)
        with host(board) as accelerator:
            classify(board, accelerator, pictures, 8)


def test_port_has_one_host(folder):
    with serving(folder) as board, host(board), \
            pytest.raises(NoAnswerError, match=f"^Port '{board.path}' must be a serial port that "
                                               f"nobody else uses, but: "):
        SerialPort(board.path, 3_000_000)


def test_board_at_rest_takes_no_time(folder):
    with serving(folder) as board:
        with host(board) as accelerator:
            accelerator.status()
        deadline, before = time.monotonic() + SECONDS, None
        while board._simulation.cycles != before:
            assert time.monotonic() < deadline, "it must come to rest"
            before = board._simulation.cycles
            time.sleep(0.5)


# What is refused

def test_folder_without_a_build(folder, tmp_path):
    with pytest.raises(UserError, match=f"^'{tmp_path}' must be a folder that `build` has made, "):
        SimulatedBoard(tmp_path)
    (tmp_path / FILE).write_text((folder / FILE).read_text())
    with pytest.raises(UserError, match=r"image.bin' must be the image that `build` has made: No"):
        SimulatedBoard(tmp_path)


def test_link(tmp_path):
    link = tmp_path / "port"
    with linked(link, "/dev/null"):
        assert os.readlink(link) == "/dev/null"
        with linked(link, "/dev/zero"):
            assert os.readlink(link) == "/dev/zero"
        assert not link.is_symlink()
    link.write_text("mine")
    with pytest.raises(UserError, match="must be a new name or a symbolic link, not a file$"), \
            linked(link, "/dev/null"):
        pass
    assert link.read_text() == "mine"
    assert os.listdir(tmp_path) == ["port"]
    with linked(None, "/dev/null"):
        pass


def test_answers_are_those_of_the_golden_model(folder, work, pictures):
    """Host steps and places survive being written to a file."""
    x, right = pictures
    plan = schedule(work.graph, Config())
    simulation = Simulation(plan.config, plan.image().to_bytes())
    accelerator = Accelerator(simulation, quiet=0.002)
    np.testing.assert_array_equal(Deployment.load(folder).run(accelerator, x[:3]), right[:3])
