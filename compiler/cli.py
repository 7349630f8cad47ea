"""The command line. Every command is a few lines around a function that can be called as well."""

from __future__ import annotations

import shlex
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

from boards.catalogue import BOARDS
from compiler import build as building
from compiler.check import check as refusals_of
from compiler.cli_board import flash, monitor, opened, port_option
from compiler.cli_common import (
    USER_ERROR,
    WIDTH,
    Commands,
    complete_board,
    complete_model,
    given,
    hint,
    json_option,
    plain_console,
    print_json,
    progress,
    tell_next,
)
from compiler.cli_networks import cost, export, quantize, train
from compiler.cli_options import data_option, input_option
from compiler.cli_sweep import evaluate, explore
from compiler.codegen.memory import check_fits, memory_of, read_size
from compiler.codegen.plan import make_plan
from compiler.deployment import Deployment
from compiler.errors import UserError
from compiler.executors import EXECUTORS, classes_of, executor, votes
from compiler.ir import Binary
from compiler.page import PAGE, write_page
from compiler.pictures import is_picture
from compiler.report import print_report
from compiler.verify import verify as verify_network
from compiler.workload import find, inputs_of, open_workload


__all__ = ["commands", "main"]

BOARD = "board"


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
              help="Binary products in a cycle.  [default: as many as fit and take the network]")
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
    hint("flash", out, instead=f"python -m sim board {shlex.quote(out)}")


@commands.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def page(folder: Path) -> None:
    """Write DIR/report.html again, from the report.json that `build` left in DIR.

    The page stands alone: it can be opened from its file, printed, and sent by mail.

    \b
    Example:
      python -m compiler page build
    """
    made = write_page(folder)
    click.echo(made)
    tell_next(f"open {made} in a browser")


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


for command in (quantize, export, train, cost, evaluate, explore, flash, monitor):
    commands.add_command(command)


def main() -> None:
    """Run the command line."""
    commands()
