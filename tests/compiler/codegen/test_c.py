import itertools
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compiler import golden
from compiler.codegen.c import generate
from compiler.codegen.stage import CodegenError
from compiler.errors import ToolError
from compiler.ir import (
    Affine,
    ArgMax,
    BatchNorm,
    Binary,
    Dense,
    Fixed,
    Flatten,
    Graph,
    HighestBit,
    Input,
    Quant,
    Real,
    Relu,
    Requantize,
    Threshold,
    value_range,
)
from compiler.stages import StageError, split
from compiler.tools import compile_c
from sim.native import Native
from tests.compiler.codegen.networks import dense_graph, frames, networks, weights
from tests.compiler.codegen.pictures import integer_networks


EMULATED = Path(__file__).parent / "emulated"  # arm_neon.h for processors without it
ARM = platform.machine().lower() in ("aarch64", "arm64")

# What each kernel needs of the processor, and the flags that the compiler needs to build it
KERNELS = {
    "PLAIN":         ("",                          ()),
    "PORTABLE":      ("",                          ()),
    "AVX2":          ("avx2",                      ("-mavx2",)),
    "AVX512":        ("avx512bw",                  ("-mavx512f", "-mavx512bw")),
    "AVX512_POPCNT": ("avx512bw avx512_vpopcntdq", ("-mavx512f", "-mavx512bw",
                                                    "-mavx512vpopcntdq")),
    "NEON":          ("",                          () if ARM else (f"-I{EMULATED}",)),
}


def processor_features():
    """What Linux tells of an x86 processor; nothing elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return set(next((line.split() for line in lines if line.startswith("flags")), []))


HERE = [name for name, (needs, _) in KERNELS.items()
        if processor_features().issuperset(needs.split())]


def kernel_flags(kernel):
    return f"-DNET_KERNEL=NET_KERNEL_{kernel}", *KERNELS[kernel][1]


def check(graph, x, kernel, *flags):
    """Hold every layer of the C to the golden model."""
    native = Native(graph, cflags=(*(flags or ["-O1"]), *kernel_flags(kernel)))
    layers = native.trace(x)
    for node, expected in golden.trace(graph, x):
        if layers.get(node.name) is not None:
            np.testing.assert_array_equal(layers.pop(node.name), expected, err_msg=node.name)
    assert set(layers.values()) <= {None}


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(networks(), st.sampled_from(HERE), st.sampled_from([("-O1",), ("-O3", "-march=native")]))
def test_every_layer(network, kernel, flags):
    check(*network, kernel, *flags)


@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
@given(integer_networks(), st.sampled_from(HERE),
       st.sampled_from([("-O1",), ("-O3", "-march=native")]))
def test_every_layer_of_any_network(network, kernel, flags):
    check(*network, kernel, *flags)


@pytest.mark.parametrize("kernel", HERE)
def test_every_pair_of_small_vectors(kernel):
    """All weights against all inputs, of 8 bits: 256 channels, 256 frames."""
    table = np.array(list(itertools.product([-1, 1], repeat=8)))
    check(dense_graph(table, bits=1, kind=Binary()), table, kernel)


@pytest.mark.parametrize("kernel", HERE)
@pytest.mark.parametrize(("bits", "kind"), [
    (1, Fixed(3)), (1, Fixed(3, signed=False)), (3, Binary()), (3, Fixed(3)), (1, Fixed(1)),
    (1, Fixed(1, signed=False)),
])
def test_every_pair_of_numbers(kernel, bits, kind):
    """Two products in each channel, over all weights and all inputs."""
    every = range(-4, 4) if bits == 3 else (-1, 1)
    table = np.array(list(itertools.product(every, repeat=2)))
    low = -(1 << kind.bits - 1) if isinstance(kind, Fixed) and kind.signed else 0
    values = (-1, 1) if isinstance(kind, Binary) else range(low, low + (1 << kind.bits))
    check(dense_graph(table, bits=bits, kind=kind),
          np.array(list(itertools.product(values, repeat=2))), kernel)


@pytest.mark.parametrize("kernel", HERE)
@pytest.mark.parametrize("kind", [Binary(), Fixed(8), Fixed(8, signed=False)])
@pytest.mark.parametrize("bits", [1, 8])
def test_longest_rows_of_extremes(kernel, kind, bits):
    """4,160 inputs: partial counts must be widened on the way, and sums are at their ends."""
    rng = np.random.default_rng(0)
    rows = weights(rng, (66, 4160), bits)
    rows[:2] = [[rows.min()], [rows.max()]]
    graph = dense_graph(rows, bits=bits, kind=kind)
    check(graph, frames(rng, (4160,), kind, 1), kernel)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("shift", [0, 1, 2, 5, 31, 40])
def test_every_rounding(shift, signed):
    """Every sum of an 8-bit input and two bits that are its weights, and biases at the ends."""
    bias = np.array([0, 1, 2, 3, -1, (1 << 31) - 300, 300 - (1 << 31)])
    sums = dense_graph(np.ones((7, 1), int), bits=1, kind=Fixed(8), bias=bias)
    graph = Graph((*sums.nodes, Requantize(name="out", inputs=("dense",), shift=shift, bits=5,
                                           signed=signed)))
    check(graph, np.arange(-128, 128).reshape(-1, 1), "PLAIN")


def test_levels_beyond_all_sums():
    ends = [-(1 << 31), -4, -3, 3, 4, (1 << 31) - 1]
    sums = dense_graph(np.ones((6, 3), int), bits=1, kind=Binary())
    bits = Threshold(name="bits", inputs=("dense",), levels=np.array(ends).reshape(-1, 1))
    counts = Threshold(name="counts", inputs=("dense",), levels=np.array([ends]))
    x = np.array(list(itertools.product([-1, 1], repeat=3)))
    check(Graph((*sums.nodes, bits)), x, "PORTABLE")
    check(Graph((*sums.nodes, counts)), x, "PORTABLE")


SANITIZERS = "-fsanitize=address,undefined", "-fno-sanitize-recover=all"


def build_program(folder, graph, *flags):
    """Generate ``graph`` and build ``main.c`` with it, as a user would."""
    generate(graph, folder)
    sources = [folder / name for name in ("main.c", "net.c", "host.c") if (folder / name).exists()]
    compile_c(sources, folder / "net", flags)
    return folder / "net"


def run_program(program, x):
    """Return outputs and classes that the program prints for raw frames."""
    result = subprocess.run([program], input=x.tobytes(), capture_output=True, timeout=60)
    assert result.stderr == b""
    assert result.returncode == 0
    halves = [line.partition(" -> ") for line in result.stdout.decode().splitlines()]
    return ([[int(word) for word in outputs.split()] for outputs, _, _ in halves],
            [chosen for _, _, chosen in halves])


def check_program(program, graph, x):
    """Hold what the program prints for the batch ``x`` to the golden model."""
    tensors = {node.name: values for node, values in golden.trace(graph, x)}
    output = split(graph).body[-1].output
    expected = tensors[output]
    if isinstance(graph.type(output), Binary):
        expected = (expected > 0).astype(int)
    kind = graph.input.type
    raw = np.float64 if isinstance(kind, Real) else np.uint8 if value_range(kind)[0] == 0 else (
        np.int8)
    outputs, classes = run_program(program, x.astype(raw))
    np.testing.assert_array_equal(outputs, expected.reshape(len(x), -1))
    if isinstance(graph.output, ArgMax | HighestBit):
        assert classes == [str(chosen) for chosen in tensors[graph.output.name]]
    else:
        assert set(classes) == {""}


@pytest.fixture(scope="module")
def sanitizers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sanitizers")
    source = folder / "empty.c"
    source.write_text("int main(void) { return 0; }\n")
    try:
        compile_c([source], folder / "empty", SANITIZERS)
    except ToolError:
        pytest.skip("the C compiler has no sanitizers of addresses and undefined behaviour")
    return SANITIZERS


@settings(max_examples=30, suppress_health_check=list(HealthCheck), deadline=None)
@given(network=st.one_of(networks(), integer_networks()), kernel=st.sampled_from(HERE))
def test_sanitized_program(sanitizers, network, kernel):
    graph, x = network
    with tempfile.TemporaryDirectory() as folder:
        program = build_program(Path(folder), graph, "-O1", *sanitizers, *kernel_flags(kernel))
        check_program(program, graph, x)


def real_prefix(rng, *, count):
    """Every operation of the host, with per-channel constants, ahead of 2 x 3 x 5 inputs."""
    def numbers():
        return rng.normal(size=5)

    x = Input(name="x", shape=(2, 3, 5))
    nodes = [
        x,
        Affine(name="scaled", inputs=("x",), scale=numbers(), offset=0.1),
        BatchNorm(name="normal", inputs=("scaled",), gamma=numbers(), beta=numbers(),
                  mean=numbers(), variance=numbers() ** 2),
        Quant(name="quant", inputs=("normal",), bits=6, scale=1 / 24, zero_point=1.0, narrow=True),
        Affine(name="shifted", inputs=("quant",), offset=0.25),
        Relu(name="relu", inputs=("shifted",)),
        Threshold(name="small", inputs=("relu",),
                  levels=np.sort(rng.uniform(0, 0.5, (5, count)), axis=1)),
        Flatten(name="flat", inputs=("small",)),
        Dense(name="dense", inputs=("flat",), weights=rng.choice([-1, 1], (9, 30)), bits=1),
        BatchNorm(name="scores", inputs=("dense",), gamma=rng.normal(size=9),
                  beta=rng.normal(size=9), mean=rng.normal(size=9), variance=np.ones(9)),
        ArgMax(name="class", inputs=("scores",)),
    ]
    return Graph(tuple(nodes), meta={"classes": [f"{i}" for i in range(9)]})


@pytest.mark.parametrize("count", [1, 3])
def test_real_numbers_on_the_host(tmp_path, sanitizers, count):
    rng = np.random.default_rng(count)
    graph = real_prefix(rng, count=count)
    x = rng.normal(size=(200, 2, 3, 5))
    np.testing.assert_array_equal(Native(graph).run(x), golden.run(graph, x))
    program = build_program(tmp_path, graph, "-O2", *sanitizers)
    outputs, classes = run_program(program, x)
    tensors = {node.name: values for node, values in golden.trace(graph, x)}
    assert len(set(classes)) > 1
    assert classes == [f"{chosen} {chosen}" for chosen in tensors["class"]]
    np.testing.assert_array_equal(outputs, tensors["dense"])


@pytest.mark.parametrize("shift", [-2, 3])
def test_requantize_on_the_host(tmp_path, shift):
    """Halves are rounded to even, and all is saturated, from real inputs."""
    graph = Graph((Input(name="x", shape=(1,)),
                   Requantize(name="q", inputs=("x",), shift=shift, bits=4),
                   Dense(name="dense", inputs=("q",), weights=np.array([[1], [-3]]), bits=3)))
    x = np.arange(-100, 100, 0.03125).reshape(-1, 1) * 2.0 ** shift
    check_program(build_program(tmp_path, graph), graph, x)


def small_network():
    rng = np.random.default_rng(0)
    x = Input(name="x", shape=(70,), type=Fixed(8, signed=False))
    bits = Threshold(name="bits", inputs=("x",), levels=np.array([[128]]))
    hidden = Dense(name="hidden", inputs=("bits",), weights=weights(rng, (20, 70), 1), bits=1)
    sign = Threshold(name="sign", inputs=("hidden",), levels=np.zeros((20, 1), int))
    last = Dense(name="last", inputs=("sign",), weights=weights(rng, (3, 20), 8), bits=8)
    return Graph((x, bits, hidden, sign, last, ArgMax(name="class", inputs=("last",))),
                 name="small")


def test_same_files_twice(tmp_path):
    generate(small_network(), tmp_path / "a")
    generate(small_network(), tmp_path / "b")
    names = sorted(file.name for file in (tmp_path / "a").iterdir())
    assert names == ["Makefile", "activations.h", "bytes.h", "kernels.h", "main.c", "net.c",
                     "net.h", "pixels.h", "pools.h", "shifts.h", "trace.h", "vectors.h",
                     "weights.h", "windows.h"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_header_tells_the_sizes(tmp_path):
    generate(small_network(), tmp_path)
    facts = dict(re.findall(r"#define (NET_\w+) (\d+)", (tmp_path / "net.h").read_text()))
    # hidden: 32 lanes of 2 words, level 0 for all; last: 8 planes of 16 lanes of a word, 3 biases
    assert facts["NET_WEIGHT_BYTES"] == str(32 * 2 * 8 + 8 * 16 * 8 + 3 * 4)
    assert facts["NET_SCRATCH_BYTES"] == str(2 * 8 + 1 * 8 + 64 * 4)
    assert (facts["NET_INPUTS"], facts["NET_OUTPUTS"]) == ("70", "3")


def test_a_stale_host_file_is_removed(tmp_path):
    generate(real_prefix(np.random.default_rng(0), count=1), tmp_path)
    assert (tmp_path / "host.c").exists()
    generate(small_network(), tmp_path)
    assert not (tmp_path / "host.c").exists()


def test_names_cannot_leave_their_comments(tmp_path):
    bad = "*/ #error \n #error \\"
    graph = Graph((Input(name=bad, shape=(3,), type=Binary()),
                   Dense(name=bad + "2", inputs=(bad,), weights=np.ones((2, 3), int), bits=1)),
                  name=bad, meta={"classes": ['a"b', "c\n"]})
    check_program(build_program(tmp_path, graph), graph, np.ones((1, 3), int))


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_make(tmp_path, compiler):
    """The Makefile works, without a warning, and a cut frame is told."""
    if not shutil.which(compiler) or not shutil.which("make"):
        pytest.skip(f"needs {compiler} and make")
    generate(small_network(), tmp_path)
    made = subprocess.run(["make", f"CC={compiler}"], cwd=tmp_path, capture_output=True, text=True)
    assert (made.returncode, made.stderr) == (0, "")
    x = frames(np.random.default_rng(1), (70,), Fixed(8, signed=False), 5)
    check_program(tmp_path / "net", small_network(), x)
    cut = subprocess.run([tmp_path / "net"], input=bytes(75), capture_output=True, text=False)
    assert cut.returncode == 1
    assert cut.stderr == b"The last frame must have 70 values, not 5\n"
    absent = subprocess.run([tmp_path / "net", "absent.bin"], capture_output=True, text=True)
    assert absent.returncode == 1
    assert absent.stderr.startswith("absent.bin: ")


def test_freestanding(tmp_path):
    """net.c alone needs no library, no floating point, and no writable memory of its own."""
    generate(small_network(), tmp_path)
    compile_c([tmp_path / "net.c"], tmp_path / "net.o",
              ("-O2", "-c", "-ffreestanding", "-DNET_KERNEL=NET_KERNEL_PLAIN"))
    symbols = subprocess.run(["nm", tmp_path / "net.o"], capture_output=True, text=True,
                             check=True).stdout.split("\n")
    kinds = {line.split()[-1]: line.split()[-2] for line in symbols if line}
    undefined = {name for name, kind in kinds.items() if kind == "U"}
    assert undefined <= {"memcpy", "memset", "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"}
    assert not any(kind in "bBdDC" for kind in kinds.values())
    assert not re.search(r"\b(float|double)\b", (tmp_path / "net.c").read_text())


def test_neon_compiles(tmp_path):
    compiler = shutil.which("aarch64-linux-gnu-gcc")
    if not compiler:
        pytest.skip("needs aarch64-linux-gnu-gcc")
    generate(small_network(), tmp_path)
    command = [compiler, "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O2", "-c",
               "-DNET_KERNEL=NET_KERNEL_NEON", str(tmp_path / "net.c"), "-o", "net.o"]
    subprocess.run(command, cwd=tmp_path, check=True)


def test_unknown_kernel(tmp_path):
    generate(small_network(), tmp_path)
    with pytest.raises(ToolError, match="NET_KERNEL must be one of the NET_KERNEL_ names"):
        compile_c([tmp_path / "net.c"], tmp_path / "net.o", ("-c", "-DNET_KERNEL=9"))


def test_refused():
    wide = dense_graph(np.ones((1, 2), int), bits=2, kind=Binary(), bias=np.array([(1 << 31) - 3]))
    with pytest.raises(CodegenError, match=(
            r"^Dense 'dense' must need numbers of at most 2147483647 in C, not 2147483649$")):
        generate(wide, Path("unused"))
    with pytest.raises(StageError):
        generate(Graph((Input(name="x", shape=(3,)),)), Path("unused"))
    assert not Path("unused").exists()
