import io
import re

import pytest
from rich.console import Console

from compiler.progress import quiet, terminal


def test_lines_where_there_is_no_terminal():
    out = io.StringIO()
    with terminal(Console(file=out))("routing [seed 1]"):
        assert out.getvalue() == "routing [seed 1] ...\n"
    assert re.fullmatch(r"routing \[seed 1\] \.\.\.\nrouting \[seed 1\]: \d\.\d s\n",
                        out.getvalue())


def test_spinner_on_a_terminal():
    out = io.StringIO()
    with terminal(Console(file=out, force_terminal=True))("routing"):
        pass
    assert "routing" in out.getvalue()
    assert "0:00:00" in out.getvalue()


@pytest.mark.parametrize("step", [quiet, terminal(Console(file=io.StringIO()))])
def test_errors_pass(step):
    with pytest.raises(ZeroDivisionError), step("dividing"):
        raise ZeroDivisionError
