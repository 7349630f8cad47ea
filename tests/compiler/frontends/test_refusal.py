import pytest

from compiler.errors import UserError
from compiler.frontends.refusal import ModelError, Refusal, quoted


def test_lines():
    error = ModelError(["first", "second\nwith a traceback", "first", Refusal("third")])
    assert error.refusals == ("first", "second", "third")
    assert str(error) == "first\nsecond\nthird"


@pytest.mark.parametrize("kind", [ModelError, Refusal])
def test_ends_with_status_1(kind):
    assert issubclass(kind, UserError)
    assert kind(["x"]).exit_status == 1


@pytest.mark.parametrize(("name", "text"), [
    ("w", "'w'"), ("a\nb\x1b", r"'a\nb\x1b'"), ("x" * 81, "'" + "x" * 80 + "...'"),
])
def test_quoted(name, text):
    assert quoted(name) == text
