import io
import re

import pytest
from rich.console import Console

from compiler.progress import bars, quiet, terminal, uncounted


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


def test_counts_as_lines():
    out = io.StringIO()
    with bars(Console(file=out))("inputs [all]", 25) as tell:
        for done in range(26):
            tell(done)
    first, *lines = out.getvalue().splitlines()
    assert first == "inputs [all]: 25 ..."
    told = [re.fullmatch(r"inputs \[all\]: (\d+) of 25, \d\.\d s", line)[1] for line in lines]
    assert told == ["3", "5", "8", "10", "13", "15", "18", "20", "23", "25"]


def test_bar_on_a_terminal():
    out = io.StringIO()
    with bars(Console(file=out, force_terminal=True, width=80))("inputs", 7) as tell:
        tell(3)
    assert re.search("inputs.*3/7", out.getvalue())


def test_nothing_is_counted():
    with uncounted("inputs", 3) as tell:
        tell(3)
