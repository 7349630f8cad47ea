"""Commands that make networks, and tell what they cost."""

from __future__ import annotations

import click

from boards.catalogue import BOARDS
from compiler import quantize as quantizing
from compiler import train as training
from compiler.cli_common import (
    Command,
    complete_model,
    hint,
    json_option,
    plain_console,
    print_json,
    progress,
)
from compiler.cli_options import input_option
from compiler.cost import cost as cost_of
from compiler.cost import cost_facts, cost_table
from compiler.export import export as export_network
from compiler.frontends import load
from compiler.passes import to_integer
from compiler.workload import find


__all__ = ["cost", "export", "quantize", "train"]


@click.command(cls=Command)
@click.argument("model", shell_complete=complete_model)
@click.option("--data", required=True, metavar="DATA",
              help="Inputs with labels, as for `build`: a training part to learn ranges from, and "
              "a test part.")
@click.option("--mode", type=click.Choice(quantizing.MODES), default="dynamic", show_default=True,
              help="Fixed point of a length for each tensor, or of one for all; floating point; "
              "or weights that only shift.")
@click.option("--bits", type=int, default=8, show_default=True, metavar="N",
              help="Of weights and data; the most of them with --error-margin.")
@click.option("--error-margin", "margin", type=float, metavar="P",
              help="Take the fewest bits by which no more than P points of accuracy are lost.")
@click.option("--samples", type=click.IntRange(min=1), metavar="N",
              help="How many inputs of the test part to look at.  [default: all]")
@click.option("-o", "--out", metavar="FILE",
              help="The .onnx file.  [default: MODEL's name and the mode]")
@click.option("--c", "c_dir", metavar="DIR", help="Write C to this folder, too.")
@input_option
def quantize(model: str, data: str, mode: str, bits: int, margin: float | None,
             samples: int | None, out: str | None, c_dir: str | None,
             input_type: str | None) -> None:
    """Make a network of few bits of one of floating point, and write it as QONNX.

    All other commands take the file. Fixed point of 8 bits and fewer runs on boards and in C;
    minifloats, and weights of powers of two, which need no multiplier, run in C.

    \b
    Examples:
      python -m compiler quantize my.onnx --data mnist_folder
      python -m compiler quantize my.onnx --data mnist_folder --error-margin 1
      python -m compiler quantize my.onnx --data mnist_folder --mode power-of-two --c my_c
    """
    made = quantizing.quantize(model, data, out, mode=mode, bits=bits, margin=margin,
                               samples=samples, c_dir=c_dir, input_type=input_type,
                               progress=progress())
    for line in made.lines():
        click.echo(line)
    click.echo(f"{made.path} is written")
    hint("verify", made.path, "--on", "c", "--data", data)


@click.command(cls=Command)
@click.argument("model", shell_complete=complete_model)
@click.option("-o", "--out", default="model.def", show_default=True, metavar="FILE",
              help="The file.")
@input_option
def export(model: str, out: str, input_type: str | None) -> None:
    """Write MODEL as a model.def of tinier-nn, in which weights, inputs and outputs are bits.

    A network that the format cannot hold is refused. What came from such a file is the same again,
    to the byte.

    \b
    Example:
      python -m compiler export xor -o model.def
    """
    path, _ = find(model)
    export_network(to_integer(load(path, input_type=input_type)), out)
    click.echo(f"{model} is in {out}")
    hint("build", out, "--board", next(iter(BOARDS)))


@click.command(cls=Command)
@click.option("--task", default="digits", show_default=True, metavar="TASK",
              help=f"One of {', '.join(training.TASKS)}.")
@click.option("--data", metavar="DATA",
              help="A folder of MNIST's four IDX files, or of CIFAR-10's six binary files.")
@click.option("--layers", metavar="LAYERS",
              help="All but the last, such as 32C3-P2-256: a convolution of 32 channels by 3 x 3 "
              "pixels, a max-pool of 2 x 2, a dense layer of 256 neurons; with S2, every second "
              "place.  [default: TASK's]")
@click.option("--epochs", type=int, metavar="N", help="Rounds over all pictures.")
@click.option("--seed", type=int, default=1, show_default=True, metavar="N", help="Of chance.")
@click.option("-o", "--out", metavar="FILE",
              help="The .onnx file, or .def for xor.  [default: TASK.onnx, or xor.def]")
@click.option("--keep-test", is_flag=True, help="Write the test inputs beside it as .npz.")
def train(task: str, data: str | None, layers: str | None, epochs: int | None, seed: int,
          out: str | None, keep_test: bool) -> None:
    """Train a binarized network, and write it as QONNX (needs the extra `train`).

    digits and mnist are dense networks; digits-conv, mnist-conv and cifar10 convolutional ones.
    ebnn is one for microcontrollers, with weights of 1 bit in all layers. xor is the demo of
    tinier-nn, of bits alone, and is written as its model.def.

    \b
    Examples:
      python -m compiler train
      python -m compiler train --task mnist-conv --data mnist_folder
      python -m compiler train --task cifar10 --data cifar_folder --epochs 10
    """
    made = training.train(task, out, data=data, layers=layers, epochs=epochs, seed=seed,
                          keep_test=keep_test)
    click.echo(f"{made.path}: {100 * made.accuracy:.2f} % of {made.tested} test inputs, "
               f"after {made.seconds:.0f} s")
    hint("check", made.path)


@click.command(cls=Command)
@click.argument("model", shell_complete=complete_model)
@json_option
def cost(model: str, as_json: bool) -> None:
    """Print what MODEL costs, layer by layer: weights, parameters, products, and octets.

    Parameters are those of a layer and of the norms and activations behind it. Octets are of
    weights of their bits (32 of a real number), and of levels and scales as binarynet-tensorflow
    stores them.

    \b
    Examples:
      python -m compiler cost alexnet-xnor
      python -m compiler cost my.onnx
    """
    path, _ = find(model)
    found = cost_of(path)
    if as_json:
        print_json(cost_facts(found))
    else:
        plain_console().print(cost_table(found))
    hint("check", model)
