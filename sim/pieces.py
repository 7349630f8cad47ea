"""Cuts the function that a simulator consists of into pieces that a C++ compiler can swallow.

The time that compilers take grows faster than a function does: for all cells of a chip in one,
g++ was not done after minutes.
"""

import re


__all__ = ["cut"]

BEGIN = "bool p_top::eval(performer *performer) {\n"
END = "\treturn converged;\n}\n"
STRUCT = "struct p_top : public module {\n"
VALUE = re.compile(r"\tvalue<\d+> \w+;")
FLAG = re.compile(r"\tbool \w+ = .*;")
LINES = 300  # of a piece


def cut(header, source):
    """Return the header and the source that write_cxxrtl made of a flat design, cut.

    Values that live during an evaluation become members of the module, and its statements methods
    of about `LINES` lines each.
    """
    before, rest = source.split(BEGIN)
    body, behind = rest.split(END)
    values, flags, pieces = [], [], [[]]
    depth = 0
    for line in body.splitlines():
        if depth == 0 and VALUE.fullmatch(line):
            values.append(line)
        elif depth == 0 and FLAG.fullmatch(line):
            flags.append(line)
        elif not line.lstrip().startswith("//"):
            pieces[-1].append(line)
            depth += line.count("{") - line.count("}")
            if depth == 0 and len(pieces[-1]) >= LINES:
                pieces.append([])
    converged, *edges = flags
    names = [f"piece_{index}()" for index in range(len(pieces))]
    methods = [f"void p_top::{name} {{\n" + "\n".join([*edges, *piece]) + "\n}\n"
               for name, piece in zip(names, pieces, strict=True)]
    calls = "\n".join([converged, *(f"\t{name};" for name in names)]) + "\n"
    members = "\n".join([*values, *(f"\tvoid {name};" for name in names)]) + "\n"
    return (header.replace(STRUCT, STRUCT + members),
            "".join([before, *methods, BEGIN, calls, END, behind]))
