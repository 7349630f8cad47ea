import builtins
import json
import re
import sys

import numpy as np
import pytest

from compiler import golden
from compiler.codegen.c import generate
from compiler.codegen.memory import memory_of
from compiler.codegen.plan import make_plan
from compiler.datasets import load as load_data
from compiler.errors import MissingToolError
from compiler.executors import Golden
from compiler.frontends import load
from compiler.ir import ArgMax, BatchNorm, Binary, Conv, Dense, Fixed, MaxPool, Threshold
from compiler.passes import to_integer
from compiler.perf import estimate
from compiler.schedule.plan import schedule
from compiler.stages import split
from compiler.train import train
from compiler.train.layers import TrainError, read_forms
from compiler.train.qonnx_file import write
from compiler.train.recipe import TASKS
from compiler.verify import hold, verify
from compiler.workload import Workload
from hdl.config import Config
from sim.native import Native
from sim.rtl import Rtl
from tests.compiler.codegen.test_memory import FRAMES, mapped, peak, total
from tests.compiler.frontends.real_data import shared
from tests.compiler.test_datasets import idx, write_cifar


@pytest.fixture
def pictures(tmp_path):
    """Digits of two classes, dark above or dark below, in a folder of MNIST's form."""
    pytest.importorskip("torch")
    chance = np.random.default_rng(0)
    for stem, count in ("train", 200), ("t10k", 120):
        labels = chance.integers(0, 2, count).astype(np.uint8)
        x = chance.integers(0, 100, (count, 28, 28)).astype(np.uint8)
        x[labels == 0, :14] += 100
        x[labels == 1, 14:] += 100
        (tmp_path / f"{stem}-images-idx3-ubyte").write_bytes(idx(x))
        (tmp_path / f"{stem}-labels-idx1-ubyte").write_bytes(idx(labels))
    return tmp_path


def checked(task, out, data, **options):
    """Train; then the integers must answer as the reals do, and the C as the integers."""
    made = train(task, out, data=str(data), keep_test=True, quiet=True, **options)
    before, test = load(out), load_data(out.with_suffix(".npz"))
    after = to_integer(before)
    answers = golden.run(after, test.x)
    np.testing.assert_array_equal(answers, golden.run(before, test.x))
    np.testing.assert_array_equal(answers, Native(after).run(test.x))
    assert (answers == test.labels).mean() == pytest.approx(made.accuracy)
    return made, after


def test_from_pictures_to_integers(pictures):
    made, after = checked("mnist", pictures / "net.onnx", pictures, layers="16-8", epochs=5)
    assert made.accuracy > 0.9
    assert made.tested == 120
    body = split(after).body
    assert [layer.sums.bits for layer in body] == [8, 1, 8]
    assert [layer.on_array for layer in body] == [False, True, False]
    assert [layer.input_type for layer in body] == [Fixed(8, signed=False), Binary(), Binary()]


def test_convolutions(pictures):
    made, after = checked("mnist-conv", pictures / "net.onnx", pictures, layers="8C3-P2-8C3-P3-16",
                          epochs=3)
    assert made.accuracy > 0.9
    assert after.input.shape == (28, 28, 1)
    conv, pool, conv1, pool1, dense, last = split(after).body
    assert conv.sums.weights.shape == (8, 3, 3, 1)
    assert conv1.sums.weights.shape == (8, 3, 3, 8)
    assert (pool.pool.kernel, pool1.pool.kernel) == ((2, 2), (3, 3))
    assert dense.sums.weights.shape == (16, 3 * 3 * 8)
    assert [layer.on_array for layer in (conv, conv1, dense, last)] == [False, True, True, False]


def test_ebnn(pictures):
    """Weights of one bit throughout; a layer goes right into its pool, whose windows overlap."""
    made, after = checked("ebnn", pictures / "net.onnx", pictures, layers="8C3S2-P3S2-8C3-P2S1",
                          epochs=4)
    assert made.accuracy > 0.9
    assert made.recipe.command("x").split()[3:6] == ["train", "--task", "ebnn"]
    conv, pool, conv1, pool1, last = split(after).body
    assert [layer.sums.bits for layer in (conv, conv1, last)] == [1, 1, 1]
    assert conv.sums.stride == (2, 2)
    assert (pool.pool.kernel, pool.pool.stride) == ((3, 3), (2, 2))
    assert (pool1.pool.kernel, pool1.pool.stride) == ((2, 2), (1, 1))
    assert len(make_plan(after).stages) == 3
    before = load(pictures / "net.onnx")
    kinds = [type(node).__name__ for node in before.nodes if type(node) in (
        Conv, MaxPool, BatchNorm, Threshold, Dense, ArgMax)]
    assert kinds == [*["Conv", "MaxPool", "BatchNorm", "Threshold"] * 2, "Dense", "BatchNorm",
                     "ArgMax"]


@pytest.mark.slow
def test_ebnn_on_mnist(tmp_path):
    """The real thing, cut short, in less than 15 KiB as the report and the linker have it; two
    frames on the gateware."""
    pytest.importorskip("torch")
    out = tmp_path / "net.onnx"
    made, graph = checked("ebnn", out, shared("mnist"), epochs=1)
    assert made.tested == 10_000
    assert made.accuracy >= 0.95
    memory = memory_of(generate(graph, tmp_path / "c"))
    assert memory.total <= 15 << 10
    sections = mapped(tmp_path / "c", "-O0")
    assert (total(sections, ".rodata"), total(sections, ".bss")) == (memory.constants,
                                                                     memory.tensors)
    assert peak(tmp_path / "c") < memory.temporaries + FRAMES
    x = load_data(out.with_suffix(".npz")).x[:2]
    assert hold("rtl", Rtl(schedule(graph, Config())), Golden(graph), x,
                golden.run(graph, x))[0] is None


def test_cifar(tmp_path):
    """Files as CIFAR-10 has them, with frogs that are green and ships that are blue."""
    pytest.importorskip("torch")
    chance = np.random.default_rng(0)
    for name in [f"data_batch_{part}" for part in range(1, 6)] + ["test_batch"]:
        labels = chance.choice([6, 8], 40)
        x = chance.integers(0, 200, (40, 32, 32, 3)).astype(np.uint8)
        x[labels == 6, ..., 1] += 50
        x[labels == 8, ..., 2] += 50
        write_cifar(tmp_path / f"{name}.bin", x, labels)
    made, after = checked("cifar10", tmp_path / "net.onnx", tmp_path, layers="8C3-P2-8C3-P2-16",
                          epochs=4)
    assert made.accuracy > 0.9
    assert made.tested == 40
    assert after.input.shape == (32, 32, 3)
    facts = json.loads((tmp_path / "net.json").read_text())
    assert facts["classes"][6::2] == ["frog", "ship"]
    assert facts["recipe"] == {
        "task": "cifar10", "data": str(tmp_path), "layers": "8C3-P2-8C3-P2-16", "epochs": 4,
        "seed": 1, "rate": 0.01, "shift": 4, "mirror": True, "batch": 64, "weight_bits": 8,
        "ebnn": False}


@pytest.mark.parametrize("task", [task for task in TASKS if TASKS[task].suffix == ".onnx"])
def test_recipes_suit_the_gateware(task, tmp_path):
    """The networks of all recipes, with weights as at the beginning, have a program."""
    torch = pytest.importorskip("torch")
    from compiler.train.network import Network
    torch.manual_seed(0)
    pictures = TASKS[task].pictures
    network = Network(read_forms(f"{TASKS[task].layers}-10"), pictures.shape, 8,
                      ebnn=TASKS[task].ebnn)
    write(tmp_path / "net.onnx", network.layers(), pictures.shape, pictures.bits, {})
    plan = schedule(to_integer(load(tmp_path / "net.onnx")), Config())
    assert len(plan.layers) >= len(network.forms)  # some pools are layers of their own


@pytest.mark.slow
@pytest.mark.parametrize(("task", "least"), [("digits", 0.96), ("digits-conv", 0.96)])
def test_digits(task, least, tmp_path):
    """The real thing, whole; and two frames on the gateware, in as many cycles as were told."""
    pytest.importorskip("torch")
    made, graph = checked(task, tmp_path / "net.onnx", "digits")
    assert made.tested == 445
    assert made.accuracy >= least
    work = Workload(task, graph, str(tmp_path / "net.npz"))
    assert verify(work, "c", None).agree
    plan = schedule(graph, Config())
    rtl = Rtl(plan)
    x = work.samples(2).x
    assert hold("rtl", rtl, Golden(graph), x, golden.run(graph, x))[0] is None
    assert rtl.frame_cycles == estimate(plan).frame


def test_same_seed_same_file(pictures):
    files = []
    for name, seed in ("a", 3), ("b", 3), ("c", 4):
        folder = pictures / name
        folder.mkdir()
        train("mnist", folder / "net.onnx", data=str(pictures), layers="8", epochs=1, seed=seed,
              quiet=True)
        files.append((folder / "net.onnx").read_bytes())
    assert files[0] == files[1] != files[2]


def test_facts_in_the_file(pictures):
    import onnx
    out = pictures / "net.onnx"
    made = train("mnist", out, data=str(pictures), layers="8", epochs=1, seed=5, quiet=True)
    facts = {item.key: item.value for item in onnx.load(out).metadata_props}
    assert json.loads(facts["classes"]) == ["0", "1"]
    assert float(facts["accuracy"]) == pytest.approx(made.accuracy, abs=1e-4)
    recipe = json.loads(facts["recipe"])
    assert recipe["recipe"]["seed"] == 5
    assert recipe["command"].startswith("python -m compiler train --task mnist --data ")
    assert json.loads(out.with_suffix(".json").read_text())["recipe"] == recipe["recipe"]


def test_leaves_torch_as_it_was(pictures):
    torch = pytest.importorskip("torch")
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    train("mnist", pictures / "net.onnx", data=str(pictures), layers="4", epochs=1, quiet=True)
    assert torch.get_num_threads() == threads
    assert (torch.get_rng_state() == state).all()


@pytest.mark.parametrize("ebnn", [False, True])
@pytest.mark.parametrize("layers", ["32-32", "16C3-P2-32C2-32", "8C3-8C1-P3-40-40",
                                    "16C2S2-P2S1-32C1-P2S1"])
def test_network_in_torch_is_the_one_in_the_file(tmp_path, layers, ebnn):
    """Classes of PyTorch's float32 network and of the integers that are made of it."""
    torch = pytest.importorskip("torch")
    from compiler.train.network import Network
    torch.manual_seed(0)
    shape = 7, 9, 2
    network = Network(read_forms(f"{layers}-10"), shape, 1 if ebnn else 8, ebnn=ebnn)
    for norm in network.norms if ebnn else ():
        norm["gamma"].data *= torch.where(torch.rand(len(norm["gamma"])) < 0.5, 1, -1)
    x = np.random.default_rng(0).integers(0, 17, (300, *shape))
    batch = torch.from_numpy(x.astype(np.float32))
    with torch.no_grad():
        for _ in range(30):
            network.forward(batch, training=True)
        wanted = network.forward(batch, training=False).argmax(1).numpy()
    assert len(set(wanted)) > 5
    write(tmp_path / "net.onnx", network.layers(), shape, 5, {})
    integer = to_integer(load(tmp_path / "net.onnx"))
    found = golden.run(integer, x.reshape(300, *integer.input.shape))
    assert (found == wanted).mean() > 0.99


def test_gradients_pass_between_minus_one_and_one():
    torch = pytest.importorskip("torch")
    from compiler.train.network import _sign
    x = torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0], requires_grad=True)
    y = _sign(x)
    y.sum().backward()
    assert y.tolist() == [-1, -1, 1, 1, 1]
    assert x.grad.tolist() == [0, 1, 1, 1, 0]


@pytest.mark.parametrize(("arguments", "sentence"), [
    ({"task": "cats"}, f"Task must be one of {', '.join(TASKS)}, not 'cats'"),
    ({"task": "mnist"}, "Task 'mnist' must have --data, the folder of its files, not none"),
    ({"layers": "0"}, "Layers must be parts such as 32C3, P2 and 256 with - between, not '0'"),
    ({"layers": "P2"}, "Pool P2 must follow a convolution, not the picture"),
    ({"epochs": 0}, "Epochs must be at least 1, not 0"),
    ({"out": "net.pt"}, "The network must be written to a file that ends in .onnx, not 'net.pt'"),
    ({"out": "none/net.onnx"}, "'none' must be a folder to write to, not missing"),
])
def test_refusals(arguments, sentence):
    with pytest.raises(TrainError, match=f"^{re.escape(sentence)}$"):
        train(**{"task": "digits", "out": "net.onnx", "quiet": True} | arguments)


def test_pixels_out_of_range(pictures):
    with pytest.raises(TrainError, match="must be integers of 0 to 31, not 0 to "):
        train("digits", pictures / "net.onnx", data=str(pictures), epochs=1, quiet=True)


def test_without_torch(monkeypatch, tmp_path):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "torch" or name.startswith("torch."):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.delitem(sys.modules, "compiler.train.network", raising=False)
    with pytest.raises(MissingToolError, match=r"^Training needs PyTorch: install it with "
                                               r"`pip install xnorloom\[train\]`$"):
        train("digits", tmp_path / "net.onnx", quiet=True)
