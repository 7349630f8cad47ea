"""The command line. Every command is a few lines around a function that can be called as well."""

from __future__ import annotations

from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from boards.catalogue import BOARDS
from compiler import build as building
from compiler import quantize as quantizing
from compiler import train as training
from compiler.check import check as refusals_of
from compiler.cli_board import flash, monitor, opened, port_option
from compiler.cli_common import (
    USER_ERROR,
    Commands,
    complete_board,
    complete_model,
    hint,
    json_option,
    print_json,
    progress,
    tell_next,
)
from compiler.cli_options import data_option, input_option
from compiler.cli_sweep import evaluate, explore
from compiler.codegen.memory import check_fits, memory_of, read_size
from compiler.codegen.plan import make_plan
from compiler.cost import cost as cost_of
from compiler.cost import cost_facts, cost_table
from compiler.deployment import Deployment
from compiler.errors import UserError
from compiler.executors import EXECUTORS, classes_of, executor, votes
from compiler.export import export as export_network
from compiler.frontends import load
from compiler.ir import Binary
from compiler.page import PAGE, write_page
from compiler.passes import to_integer
from compiler.pictures import is_picture
from compiler.report import print_report
from compiler.verify import verify as verify_network
from compiler.workload import find, inputs_of, open_workload


__all__ = ["commands", "main"]

BOARD = "board"
WIDTH = 100  # of tables where there is no terminal


def installed_version() -> str:
    try:
        return version("xnorloom")
    except PackageNotFoundError:
        return "(not installed; run from its sources)"


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"],
                                             "max_content_width": WIDTH})
@click.version_option(installed_version(), prog_name="xnorloom", message="%(prog)s %(version)s")
def commands() -> None:
    """Turn a trained binarized neural network into an FPGA accelerator and into C.

    \b
    A first walk:
      python -m compiler build --board icebreaker        the network that ships with us
      python -m compiler check my.onnx                   is my own network understood?
      python -m compiler build my.onnx --board icebreaker -o my_build
      python -m compiler verify my.onnx --on c,rtl --samples 20 --data my.npz

    MODEL is an ONNX file (QONNX as Brevitas writes it, FINN's, or plain), a folder of BNN-PYNQ
    parameters, a model.def of tinier-nn, a header of eBNN, a Torch7 file of an XNOR-Net, a
    description of a network (TOML), which gets random weights, or the name of a network that ships
    with us: digits, xor, alexnet-xnor, alexnet-bwn.

    Behind a command, -v says more, and -q less.

    Exit status: 0 fine, 1 something you gave cannot be used, 2 a tool failed, 3 a tool is
    missing.
    """


@commands.command()
@click.argument("model", required=False, shell_complete=complete_model)
@click.option("--board", required=True, metavar="BOARD", shell_complete=complete_board,
              help="Its name; `boards` lists them.")
@click.option("-o", "--out", default="build", show_default=True, metavar="DIR",
              help="Where everything goes.")
@click.option("--lanes", type=int, metavar="N",
              help="Binary products in a cycle.  [default: as many as fit]")
@click.option("--target-fps", type=click.FloatRange(min=0, min_open=True), metavar="F",
              help="Take the smallest array that makes F frames a second.")
@data_option
@input_option
@json_option
def build(model: str | None, board: str, out: str, lanes: int | None, target_fps: float | None,
          data: str | None, input_type: str | None, as_json: bool) -> None:
    """Build a network for a board: bitstream, flash image, C, and a report.

    DIR gets bitstream.bin, image.bin, c/, top.v, program.txt, report.json and report.html, all or
    none, and log/ with the words of the tools. The first build for a board takes minutes; the next
    network takes seconds, since it is a new image and not a new bitstream.

    A network of floating point, without quantizers, needs --data to learn its ranges from.

    An array of another size is another bitstream, which only images that were made for it run on.

    \b
    Examples:
      python -m compiler build --board icebreaker
      python -m compiler build my.onnx --board icebreaker -o my_build
      python -m compiler build my.onnx --board icebreaker --target-fps 60
    """
    report = building.build(model, board, out, data, input_type=input_type, lanes=lanes,
                            target_fps=target_fps, progress=progress())
    if as_json:
        print_json(report)
    else:
        console = plain_console()
        print_report(report, console)
        console.print(f"Everything is in {out}; {Path(out) / PAGE} shows it", markup=False,
                      highlight=False, soft_wrap=True)
    hint("verify", *given(model), "--on", "c,rtl", *given(data, "--data"))


def plain_console() -> Console:
    """Return where tables go: as wide as the terminal, or of a width of our own."""
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    return console


def given(value: str | None, *option: str) -> tuple[str, ...]:
    """Return the words that give a value, for a hint; none where there is no value."""
    return (*option, value) if value else ()


@commands.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def page(folder: Path) -> None:
    """Write DIR/report.html again, from the report.json that `build` left in DIR.

    The page stands alone: it can be opened from its file, printed, and sent by mail.

    \b
    Example:
      python -m compiler page build
    """
    click.echo(write_page(folder))
    tell_next("open it in a browser")


@commands.command()
@click.argument("model", shell_complete=complete_model)
@click.option("--fits", metavar="SIZE",
              help="Bytes that its C may take for constants and temporaries, such as 15KiB.")
@data_option
@input_option
@json_option
def check(model: str, fits: str | None, data: str | None, input_type: str | None,
          as_json: bool) -> None:
    """Tell everything that keeps MODEL from being taken, one sentence a line.

    With --fits, tell also what its C takes of memory; the exit status is 1 if that is more.

    \b
    Examples:
      python -m compiler check my.onnx
      python -m compiler check my.onnx --fits 15KiB
    """
    limit = None if fits is None else read_size(fits)
    path, _ = find(model)
    refusals = refusals_of(path, input_type=input_type)
    facts: dict[str, Any] = {"model": model, "understood": not refusals, "refusals": refusals}
    memory = None
    if limit is not None and not refusals:
        memory = memory_of(make_plan(open_workload(model, data, input_type).graph))
        facts |= {"c_bytes": memory.total, "fits": memory.total <= limit}
    if as_json:
        print_json(facts)
    else:
        for refusal in refusals:
            click.echo(f"Error: {refusal}", err=True)
        if not refusals:
            click.echo(f"{model} is understood")
    if refusals:
        raise click.exceptions.Exit(USER_ERROR)
    if memory is not None and limit is not None:
        check_fits(model, memory, limit)
        if not as_json:
            click.echo(f"Its C takes {memory.total} bytes of {limit}: {memory}")
    hint("build", model, "--board", next(iter(BOARDS)), *given(input_type, "--input-type"))


@commands.command()
@click.argument("model", shell_complete=complete_model)
@click.argument("input", metavar="INPUT")
@click.option("--on", "name", type=click.Choice([*EXECUTORS, BOARD]), default="golden",
              show_default=True, help="The golden model, the generated C, the simulated gateware, "
              "or a board.")
@port_option
@click.option("--index", type=click.IntRange(min=0), default=0, show_default=True,
              help="Which of the inputs.")
@data_option
@input_option
@json_option
def run(model: str, input: str, name: str, port: str | None, index: int, data: str | None,
        input_type: str | None, as_json: bool) -> None:
    """Run MODEL on one input of the file INPUT, and print its answer.

    INPUT is a picture, such as a .png or .jpg, which is resized to what the network reads, or a
    data set as --data is. A network of floating point, without quantizers, learns its ranges from
    --data, or else from the data set INPUT. With --on board, MODEL is the folder that `build` has
    made, and `flash` has written. Bits are printed as 0 and 1, output 0 first.

    \b
    Examples:
      python -m compiler run digits digits --index 7
      python -m compiler run xor xor --index 2 --on c
      python -m compiler run my.onnx cat.jpg --on c
      python -m compiler run my.onnx t10k-images-idx3-ubyte.gz --index 3 --on rtl
      python -m compiler run build/digits seven.png --on board --port /dev/ttyUSB1
    """
    deployment = Deployment.load(model) if name == BOARD else None
    if deployment:
        samples = inputs_of(deployment.prefix, input)
    else:
        learn = data or (None if is_picture(input) else input)
        work = replace(open_workload(model, learn, input_type), data=input)
        samples = work.samples(None)
    if index >= len(samples):
        raise UserError(f"Index must be below {len(samples)}, the number of inputs in '{input}', "
                        f"not {index}")
    x = samples.x[index:index + 1]
    if deployment:
        network, bits = deployment.prefix, deployment.makes_bits
        with opened(deployment, port) as accelerator:
            answer = deployment.run(accelerator, x)[0]
        if retries := accelerator.link.traffic.retries:
            click.echo(f"link: {retries} of {accelerator.link.traffic.requests} requests were "
                       f"sent again", err=True)
    else:
        network = work.graph
        bits = isinstance(network.type(network.output.name), Binary)
        answer = executor(name, network).run(x)[0]
    facts: dict[str, Any] = {"answer": answer.reshape(-1).tolist()}
    if bits:
        facts = {"bits": "".join("01"[value > 0] for value in facts["answer"])}
    voted = votes(network)
    found = int(classes_of(answer[None], voted=voted)[0])
    named = samples.classes[found] if 0 <= found < len(samples.classes) else str(found)
    if voted:
        facts["majority"] = found
    elif answer.ndim or named != str(found):
        facts["class"] = found
        if named != str(found):
            facts["name"] = named
    if samples.labels is not None:
        facts["label"] = int(samples.labels[index])
    if as_json:
        print_json(facts)
    else:
        for key, value in facts.items():
            if key == "answer":
                value = " ".join(map(str, value))
            if key == "class" and "name" in facts:
                value = f"{value} {named}"
            if key != "name":
                click.echo(f"{key} {value}")
    if deployment:
        hint("monitor", model, *given(port, "--port"))
    else:
        hint("verify", model, "--on", "c,rtl", "--data", input,
             *given(input_type, "--input-type"))


@commands.command()
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


@commands.command()
@click.argument("model", required=False, shell_complete=complete_model)
@click.option("--on", "names", default="c,rtl", show_default=True, metavar="LIST",
              help="What to hold to the golden model, with commas between.")
@click.option("--samples", type=click.IntRange(min=1), default=20, show_default=True,
              help="How many inputs; all, where there are fewer.")
@data_option
@input_option
@json_option
def verify(model: str | None, names: str, samples: int, data: str | None,
           input_type: str | None, as_json: bool) -> None:
    """Hold the generated C and the gateware to the golden model, in every layer.

    The network that ships with us has its own test pictures. Other networks take --data, or
    random inputs. The exit status is 0 only where every bit agrees.

    \b
    Examples:
      python -m compiler verify
      python -m compiler verify my.onnx --on c --samples 10000 --data t10k-images-idx3-ubyte.gz
    """
    work = open_workload(model, data, input_type)
    result = verify_network(work, names, samples, progress())
    if as_json:
        print_json({"agree": result.agree} | asdict(result))
    else:
        for line in result.lines():
            click.echo(line)
    if not result.agree:
        raise click.exceptions.Exit(USER_ERROR)
    hint("build", *given(model), "--board", next(iter(BOARDS)),
         *given(input_type, "--input-type"))


@commands.command()
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


@commands.command()
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
    hint("build", made.path, "--board", next(iter(BOARDS)))


@commands.command()
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


@commands.command()
@json_option
def boards(as_json: bool) -> None:
    """List the boards that can be built for."""
    if as_json:
        print_json([{"name": name, "title": board.title, "chip": board.chip,
                     "clock_mhz": board.clock_hz / 1e6, "available": asdict(board.available)}
                    for name, board in BOARDS.items()])
        return
    for name, board in BOARDS.items():
        has = board.available
        large = f"{has.spram} large RAMs, " if has.spram else ""
        click.echo(f"{name:<14}{board.title}: {board.chip} at {board.clock_hz / 1e6:g} MHz; "
                   f"{has.lut4} LUT4, {has.ebr} block RAMs, {large}"
                   f"{has.dsp} multipliers")
    hint("build", "--board", next(iter(BOARDS)))


for command in evaluate, explore, flash, monitor:
    commands.add_command(command)


def main() -> None:
    """Run the command line."""
    commands()
