"""Why a model is not taken."""

from collections.abc import Iterable

from compiler.errors import UserError


__all__ = ["ModelError", "Refusal", "quoted"]

NAME_LIMIT = 80  # characters of a name in a message


class Refusal(UserError):
    """One reason, in one sentence, why a model is not taken."""


class ModelError(UserError):
    """A model is not taken; ``refusals`` has every reason found, one sentence each."""

    def __init__(self, refusals: Iterable[str]) -> None:
        lines = (str(refusal).partition("\n")[0] for refusal in refusals)
        self.refusals = tuple(dict.fromkeys(lines))
        super().__init__("\n".join(self.refusals))


def quoted(name: str) -> str:
    """Return a name out of a file in quotes, fit for one line of a message."""
    return repr(name if len(name) <= NAME_LIMIT else name[:NAME_LIMIT] + "...")
