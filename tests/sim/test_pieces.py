import pytest

from sim.pieces import LINES, cut


HEADER = "namespace design {\nstruct p_top : public module {\n\twire<1> p_q;\n};\n}\n"
BLOCK = ["\tif (posedge_p_clk) {", "\t\tp_q.next = p_a;", "\t}"]


def source(body):
    return "\n".join([
        "bool p_top::eval(performer *performer) {", "\tbool converged = true;",
        "\tbool posedge_p_clk = this->posedge_p_clk();", "\tvalue<1> p_a;", "\t// a cell",
        *body, "\treturn converged;", "}", "behind", ""])


@pytest.mark.parametrize("blocks", [1, LINES // 3, LINES])
def test_cut(blocks):
    header, text = cut(HEADER, source(BLOCK * blocks))
    count = -(-3 * blocks // LINES) + (3 * blocks % LINES == 0)
    lines = text.splitlines()
    assert [line for line in lines if line in BLOCK[:2]] == BLOCK[:2] * blocks
    assert lines.count("\tbool posedge_p_clk = this->posedge_p_clk();") == count
    assert text.endswith("".join(
        ["bool p_top::eval(performer *performer) {\n\tbool converged = true;\n",
         *(f"\tpiece_{index}();\n" for index in range(count)),
         "\treturn converged;\n}\nbehind\n"]))
    assert header.splitlines()[2:4] == ["\tvalue<1> p_a;", "\tvoid piece_0();"]
    assert header.count("void piece_") == text.count("void p_top::piece_") == count


def test_blocks_stay_whole():
    _, text = cut(HEADER, source([BLOCK[0], *[BLOCK[1]] * (2 * LINES), BLOCK[2]]))
    assert text.split("void p_top::piece_0() {\n")[1].split("\n}\n")[0].count(BLOCK[1]) == 2 * LINES
