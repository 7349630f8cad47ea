"""A page that shows something else than what happens is found out."""

import pytest

from tests.transcript import beside, files, play, steps


PAGE = """\
Text with `$ false`.

```python
# speak.py
import sys
print("working: 1.5 s", file=sys.stderr)
print("Next: rest", file=sys.stderr)
print("rate 1.25", *sys.argv[1:])
sys.exit(len(sys.argv) > 2)
```

```console
$ python speak.py
rate 9
Next: rest
$ python speak.py 'a b'
rate 2 a...
```
"""


def test_parts():
    assert list(steps(PAGE)) == [("python speak.py", ["rate 9", "Next: rest"]),
                                 ("python speak.py 'a b'", ["rate 2 a..."])]
    assert list(files(PAGE)) == ["speak.py"]


def test_as_shown(tmp_path):
    assert play(PAGE, tmp_path, beside(), ["rate"]) == 2


@pytest.mark.parametrize(("shown", "instead"), [
    ("rate 9\n", "rate\n"), ("rate 9\n", ""), ("rate 9\n", "rate 9\nand more\n"),
    ("9\nNext: rest", "9\nNext: other"), ("2 a...", "2 b..."), ("py 'a b'", "py a b"),
    ("rate 9\n", "Error: ...\n"), ("speak.py\nrate", "silent.py\nrate")])
def test_not_as_shown(tmp_path, shown, instead):
    assert shown in PAGE
    with pytest.raises(AssertionError):
        play(PAGE.replace(shown, instead), tmp_path, beside(), ["rate"])


def test_lines_left_out(tmp_path):
    page = PAGE.replace("rate 9\nNext: rest", "...\nNext: rest")
    assert play(page, tmp_path, beside(), ["rate"]) == 2
    with pytest.raises(AssertionError):
        play(PAGE.replace("rate 9\nNext: rest", "...\nrest"), tmp_path, beside(), ["rate"])


def test_server_that_ends(tmp_path):
    page = "```console\n$ python -c 'print(1)' &\n2\n```"
    with pytest.raises(AssertionError, match="must serve"):
        play(page, tmp_path, beside())
