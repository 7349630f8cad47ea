"""Errors that end in one line on the terminal, with the exit status of their cause."""

__all__ = ["MissingToolError", "ToolError", "UserError"]


class UserError(ValueError):
    """The user asked for something impossible, or gave a file that cannot be used."""

    exit_status = 1


class ToolError(RuntimeError):
    """A tool that we run has failed; the message names its log."""

    exit_status = 2


class MissingToolError(ToolError):
    """A tool that we need is not installed; the message tells how to get it."""

    exit_status = 3
