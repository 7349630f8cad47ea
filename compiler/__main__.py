"""Runs the command line: ``python -m compiler``."""

from compiler.cli import main


__all__ = ["main"]

if __name__ == "__main__":
    main()
