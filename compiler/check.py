"""Tells everything that keeps a model from being taken."""

from pathlib import Path

from compiler.frontends import ModelError, load


__all__ = ["check"]


def check(path: str | Path, *, input_type: str | None = None) -> list[str]:
    """Return every refusal of the model in ``path``, one sentence each; none if it is fine.

    The arguments are those of `compiler.frontends.load`.
    """
    try:
        load(path, input_type=input_type)
    except ModelError as error:
        return list(error.refusals)
    return []
