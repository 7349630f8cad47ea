import re
import subprocess

import numpy as np
import pytest

from compiler.codegen.c import generate
from compiler.codegen.memory import Memory, check_fits, memory_of, read_size
from compiler.codegen.plan import make_plan
from compiler.errors import UserError
from compiler.frontends import load
from compiler.ir import Binary, Conv, Fixed, Graph, Input, MaxPool, Threshold
from compiler.passes import to_integer
from compiler.tools import c_compiler, compile_c
from tests.compiler.codegen.networks import weights
from tests.compiler.codegen.pictures import conv_graph
from tests.compiler.codegen.test_c import small_network
from tests.compiler.codegen.test_pictures import residual, small_cnn
from tests.compiler.frontends.real_data import shared


SECTION = re.compile(r"^ (\.(?:rodata|bss|data)\S*)\s+0x[0-9a-f]+\s+0x([0-9a-f]+) \S*net\.o$", re.M)
WINDOW = 13 * 4  # bytes of a window_t
FRAMES = 1024    # of stack for the registers and the counts of a few functions, at most

MAIN = """
#include "net.h"
static net_input_t input[NET_INPUT_LENGTH];
static net_output_t outputs[NET_OUTPUTS];
int main(void) { net_run(input, outputs); return 0; }
"""

# Runs net_run() on a stack that was painted, and tells how much more of it is used than by nothing.
PAINT = """
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "net.h"
#define SIZE ((size_t)1 << 20)
static net_input_t input[NET_INPUT_LENGTH];
static net_output_t outputs[NET_OUTPUTS];
static void *nothing(void *given) { return given; }
static void *once(void *given) { net_run(input, outputs); return given; }
static size_t depth(void *(*work)(void *))
{
    pthread_t thread;
    pthread_attr_t attributes;
    unsigned char *const stack = aligned_alloc(4096, SIZE);
    memset(stack, 0xa5, SIZE);
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack, SIZE);
    if (pthread_create(&thread, &attributes, work, 0) || pthread_join(thread, 0))
        abort();
    size_t unused = 0;
    while (stack[unused] == 0xa5)
        unused++;
    free(stack);
    return SIZE - unused;
}
int main(void) { printf("%zu", depth(once) - depth(nothing)); return 0; }
"""


def many_slots():
    """Tensors of several types, two at a time, in bytes and in words of 8 to 64 bits."""
    rng = np.random.default_rng(0)
    nodes = [Input(name="x", shape=(7, 7, 3), type=Fixed(8))]
    for at, channels in enumerate([5, 20, 9, 70]):
        shape = channels, 2, 2, (3, 5, 20, 9)[at]
        nodes += [Conv(name=f"conv{at}", inputs=(nodes[-1].name,), weights=weights(rng, shape, 1),
                       bits=1),
                  Threshold(name=f"bits{at}", inputs=(f"conv{at}",), levels=np.zeros((1, 1), int))]
    nodes.append(MaxPool(name="pool", inputs=("bits3",), kernel=(2, 2), stride=(1, 1)))
    nodes.append(Conv(name="last", inputs=("pool",), weights=weights(rng, (3, 2, 2, 70), 3),
                      bits=3))
    return Graph(tuple(nodes))


NETWORKS = {
    "dense": small_network,
    "pool": small_cnn,
    "overlap": lambda: small_cnn(pool={"kernel": (3, 3), "stride": (2, 2)}, dense={
        "weights": weights(np.random.default_rng(0), (10, 3 * 2 * 64), 1)}),
    "slots": many_slots,
    "planes": lambda: conv_graph(weights(np.random.default_rng(0), (18, 3, 3, 5), 1), shape=(6, 6),
                                 bits=1, kind=Fixed(2), pads=(1, 1, 1, 1)),
    "residual": lambda: residual(Binary()),
}


def mapped(folder, *flags):
    """Link the network in ``folder`` with a program, and return what the linker's map says of
    net.c: bytes by section."""
    (folder / "call.c").write_text(MAIN)
    compile_c([folder / "net.c"], folder / "net.o",
              (*flags, "-c", "-fdata-sections", "-DNET_KERNEL=NET_KERNEL_PLAIN", "-DNET_STATIC"))
    subprocess.run([*c_compiler(), "-I", folder, folder / "call.c", folder / "net.o", "-o",
                    folder / "net", f"-Wl,-Map={folder / 'net.map'}"], check=True)
    subprocess.run([folder / "net"], check=True)
    text = (folder / "net.map").read_text()
    return {name: int(size, 16) for name, size in SECTION.findall(text) if int(size, 16)}


def total(sections, kind):
    return sum(size for name, size in sections.items() if name.startswith(kind))


@pytest.mark.parametrize("name", NETWORKS)
def test_as_the_linker_has_it(tmp_path, name):
    """Constants and tensors are what the map counts, to the byte. An optimizer may leave out
    windows, whose numbers are then in the instructions, but no other table."""
    plan = generate(NETWORKS[name](), tmp_path)
    memory = memory_of(plan)
    sections = mapped(tmp_path, "-O0")
    assert total(sections, ".rodata") == memory.constants
    assert total(sections, ".bss") == memory.tensors
    assert not total(sections, ".data")
    small = mapped(tmp_path, "-Os")
    assert total(small, ".bss") == memory.tensors
    left_out = memory.constants - total(small, ".rodata") + total(small, ".rodata.cst")
    assert left_out in range(0, 2 * WINDOW * len(plan.stages) + 1, WINDOW)


@pytest.mark.parametrize("name", NETWORKS)
def test_stack(tmp_path, name):
    """The peak of the stack is about what is told, with what functions take for themselves."""
    memory = memory_of(generate(NETWORKS[name](), tmp_path))
    assert memory.tensors < peak(tmp_path) < memory.temporaries + FRAMES


def peak(folder):
    """Bytes of stack that `net_run` takes at most."""
    (folder / "paint.c").write_text(PAINT)
    compile_c([folder / "net.c", folder / "paint.c"], folder / "paint",
              ("-Os", "-pthread", "-DNET_KERNEL=NET_KERNEL_PLAIN"))
    return int(subprocess.run([folder / "paint"], check=True, capture_output=True).stdout)


def test_simple_mnist(tmp_path):
    """The network of eBNN's example: between its two layers there are 360 bits."""
    plan = generate(to_integer(load(shared("ebnn/simple_mnist.npz"))), tmp_path)
    memory = memory_of(plan)
    assert len(plan.stages) == 2
    # words of 16 bits for 10 channels; 10 filters, levels and rows in 16 lanes; three windows;
    # scales and offsets of 10 classes
    assert memory.tensors == 6 * 6 * 2
    assert memory.constants == 16 * 12 + 16 * 4 + 16 * 72 + 3 * WINDOW + 2 * 40
    assert (memory.input, memory.output) == (784, 40)
    sections = mapped(tmp_path, "-O0")
    assert (total(sections, ".rodata"), total(sections, ".bss")) == (memory.constants, 72)
    assert peak(tmp_path) < memory.temporaries + FRAMES


def test_told():
    memory = memory_of(make_plan(small_network()))
    assert memory == Memory(32 * 2 * 8 + 8 * 16 * 8 + 3 * 4, 2 * 8 + 8, 64 * 4, 70, 12)
    assert (memory.temporaries, memory.total) == (280, 1828)
    assert str(memory) == ("1548 bytes of constants and 280 of temporaries (24 of tensors between "
                           "layers, 256 of sums)")


def test_fits():
    memory = Memory(900, 60, 40, 7, 7)
    check_fits("net", memory, 1000)
    with pytest.raises(UserError, match=(
            r"^The C of 'net' must take at most 999 bytes, not 1000: 900 bytes of constants and "
            r"100 of temporaries \(60 of tensors between layers, 40 of sums\)$")):
        check_fits("net", memory, 999)


@pytest.mark.parametrize(("text", "size"), [
    ("1", 1), ("15360", 15360), ("15KiB", 15360), ("15 KiB", 15360), ("15kB", 15000),
    ("15KB", 15000), ("2MiB", 1 << 21), ("2MB", 2_000_000), ("7B", 7)])
def test_sizes(text, size):
    assert read_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5KiB", "KiB", "15kib", "15K", "15  kB", "٣"])
def test_other_sizes(text):
    with pytest.raises(UserError, match=(
            f"^A size must be a number of bytes, perhaps with a unit of B, kB, KB, KiB, MB, MiB, "
            f"not {re.escape(repr(text))}$")):
        read_size(text)
