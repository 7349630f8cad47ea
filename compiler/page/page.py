"""The page of a report, and the file that it goes to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, UndefinedError

from compiler.errors import UserError
from compiler.page.memory import draw_memories, lifetime
from compiler.page.network import draw_network
from compiler.page.roofline import draw_roofline
from compiler.page.text import bytes_of, kind, shape, share
from compiler.report import FORM
from hdl.isa import Cause


__all__ = ["PAGE", "REPORT", "render", "save", "write_page"]

REPORT, PAGE = "report.json", "report.html"  # their names in the folder of a build

MODE = 0o644                                  # of the page, for all to read

CAUSES = {  # of a cycle: what the table calls it, and what it works at or waits for
    Cause.WORK: ("work", "a unit sums"),
    Cause.WEIGHTS: ("weights", "not there yet"),
    Cause.ACTIVATIONS: ("activations", "not there yet"),
    Cause.DRAIN: ("drain", "sums to be read out"),
    Cause.PROGRAM: ("program", "a layer to begin"),
    Cause.HOST: ("host", "more of the input"),
}
UNITS = {"array": "XNOR array", "fixed": "fixed-point unit"}
RESOURCES = {"lut4": "logic cells", "ebr": "block RAM", "spram": "SPRAM", "dsp": "multipliers"}
NARROW = 352, 330       # px: width of drawings on a telephone, and height of plots
WIDE = 1040, 400        # ... and elsewhere
BESIDE = 500            # ... and width of what has something beside it
SHOWN = 40              # steps of a network up to which it is not scrolled
BAR = 100.0             # width of a whole bar, in its own units


@dataclass(frozen=True)
class Part:
    """A part of a bar."""

    kind: str
    x: float
    width: float
    title: str


def render(report: Mapping[str, Any]) -> str:
    """Return the page of a report, which `compiler.report.make_report` made.

    It needs no other file. Raises KeyError, TypeError or the like for anything else.
    """
    (narrow, low), (wide, high) = NARROW, WIDE
    return template().render(
        report=report, causes=[CAUSES[cause] for cause in Cause], units=UNITS,
        resources=RESOURCES, rows=list(rows_of(report)), parts=parts, lifetime=lifetime,
        most_steps=SHOWN, networks={"narrow": draw_network(report["network"], narrow),
                  "wide": draw_network(report["network"], BESIDE)},
        rooflines={"narrow": draw_roofline(report, narrow, low),
                   "wide": draw_roofline(report, wide, high)},
        memories={"narrow": draw_memories(report, narrow, low, beside=False),
                  "wide": draw_memories(report, wide, high, beside=True)},
        total={name: sum(row[name] for row in rows_of(report))
               for name in ("total", *(name for name, _ in CAUSES.values()))},
    )


@cache
def template() -> Template:
    environment = Environment(
        loader=PackageLoader("compiler.page"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    environment.filters |= {"share": share, "bytes": bytes_of, "shape": shape, "kind": kind,
                            "grouped": lambda number: f"{number:,}"}
    return environment.get_template("report.html")


def rows_of(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of the table of cycles: each layer, and what comes after the last."""
    cycles = report["cycles"]
    kinds = {step["name"]: step["kind"] for step in report["network"]["steps"]}
    for number, (row, layer) in enumerate(zip(cycles["layers"], report["layers"], strict=True), 1):
        yield {"number": number, "kind": kinds.get(layer["step"], ""), "layer": layer} | row
    after = cycles["after"]
    yield {"number": "", "kind": "", "layer": None, "name": "after the last",
           "total": sum(after.values())} | after


def parts(row: Mapping[str, Any], most: float) -> list[Part]:
    """Return where the cycles of a row go, as parts of a bar as long as ``most`` cycles."""
    found, x = [], 0.0
    for name, _ in CAUSES.values():
        width = BAR * row[name] / max(most, 1)
        if row[name]:
            found.append(Part(name, x, width, f"{name}: {row[name]:,} cycles"))
        x += width
    return found


def save(report: Mapping[str, Any], page: Path) -> None:
    """Write the page of a report: beside, then renamed. Letters that are none, which JSON can hold,
    become question marks."""
    with NamedTemporaryFile("w", encoding="utf-8", errors="replace", dir=page.parent,
                            prefix=f".{page.name}-", delete=False) as file:
        try:
            file.write(render(report))
            file.close()
            os.chmod(file.name, MODE)
            os.replace(file.name, page)
        except BaseException:
            file.close()
            os.unlink(file.name)
            raise


def write_page(folder: Path) -> Path:
    """Write the page of the report in the folder of a build, and return its path.

    Raises a UserError where there is no report, or none of this form.
    """
    source, page = folder / REPORT, folder / PAGE
    try:
        report = json.loads(source.read_text(encoding="utf-8"))
        form = report["form"]
        if form == FORM:
            save(report, page)
    except OSError as error:
        raise UserError(f"'{folder}' must be the folder of a build, with its {REPORT}, but: "
                        f"{error.strerror}") from error
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError,
            UndefinedError) as error:
        raise UserError(f"'{source}' must be a report as `build` writes it, whole, not one with "
                        f"{type(error).__name__}: {error}; build again") from error
    if form != FORM:
        raise UserError(f"'{source}' must be a report of form {FORM}, as this version writes it, "
                        f"not {form!r}; build again")
    return page
