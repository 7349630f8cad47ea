"""Tables of the instruction set and of the host link, made of their definitions."""

from amaranth.hdl import Shape

from hdl import isa, protocol


__all__ = ["TABLES"]


def table(headings, rows):
    """Return a table in Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def members(kind):
    """Return the members of an enumeration, with their numbers."""
    return table(("name", "number"), [(f"`{member.name}`", member.value) for member in kind])


def fields(layout):
    """Return the fields of a layout, with the bits at which they begin and end."""
    rows, at = [], 0
    for name, shape in layout.members.items():
        width = Shape.cast(shape).width
        rows.append((f"`{name}`", width, f"{at + width - 1}:{at}" if width > 1 else at))
        at += width
    return table(("field", "bits", "place"), rows)


def octets(layout):
    """Return the fields of a payload, with the octets that they take."""
    rows, at = [], 0
    for name, size in layout.items():
        rows.append((f"`{name}`", size, at))
        at += size
    return table(("field", "octets", "from"), rows)


# What `descriptors.md` shows in their places
TABLES = {
    "isa_version": isa.VERSION, "protocol_version": protocol.VERSION,
    "head": fields(isa.Head), "opcodes": members(isa.Opcode),
    "walk": fields(isa.Walk), "loops": members(isa.Loop),
    "layer": fields(isa.Layer), "walks": len(isa.Loop),
    "layer_packet": 2 + len(isa.Loop) * isa.WALK_HALVES + isa.LAYER_HALVES,
    "feeds": members(isa.Feed), "activations": members(isa.Activation),
    "targets": members(isa.Target),
    "header_words": len(isa.HEADER), "header": ", ".join(f"`{name}`" for name in isa.HEADER),
    "commands": members(protocol.Command),
    "state": octets(protocol.STATE), "identity": octets(protocol.IDENTITY),
    "errors": members(protocol.Error), "statuses": members(protocol.Status),
    "causes": members(isa.Cause),
}
