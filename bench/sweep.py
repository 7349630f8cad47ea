"""Explores the arrays of the iCEBreaker for the default network, for `docs/sweeps.md`.

    python -m bench.sweep [--scheduler tcp://...] [--write]

Twelve arrays are placed and routed, and the fastest with ten seeds: some minutes each. A run that
was interrupted goes on. With ``--write`` the table and the pictures go to ``docs``.
"""

import argparse
import shutil
from pathlib import Path

from compiler.build import find_board
from compiler.cluster import connect
from compiler.explore.explore import Exploration, explore
from compiler.explore.plots import check, draw
from compiler.explore.tables import COLUMNS, cells, notes, shown
from compiler.progress import bars
from compiler.workload import open_workload


__all__ = ["main", "section"]

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "sweeps.md"
OUT = ROOT / "build" / "sweep"
BOARD, PLACES, SEEDS = "icebreaker", 12, 10
BEGIN, END = "<!-- begin explore -->\n", "<!-- end explore -->\n"


def section(made: Exploration, pictures: list[Path]) -> str:
    """Return the table, the sentences and the pictures as Markdown."""
    rows = [["", *COLUMNS]]
    rows += [["*" if point in made.front else "", *cells(point)] for point in shown(made)]
    first, *others = (f"| {' | '.join(row)} |" for row in rows)
    told = "\n".join(f"- {note.replace('*', 'a star')}." for note in notes(made))
    drawn = "\n".join(f"![{path.stem}]({path.name})" for path in pictures if path.suffix == ".svg")
    return "\n".join([first, "|---" * len(rows[0]) + "|", *others, "", told, "", drawn])


def write(made: Exploration) -> None:
    """Put what came of it in the documents."""
    folder = OUT / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    pictures = draw(made, folder)
    before, rest = PAGE.read_text().split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text(f"{before}{BEGIN}\n{section(made, pictures)}\n\n{END}{after}")
    for path in pictures:
        if path.suffix == ".svg":
            shutil.copy(path, PAGE.parent / path.name)


def main(arguments: list[str] | None = None) -> None:
    """Explore, and print what came of it."""
    parser = argparse.ArgumentParser(description="Explore the arrays of the iCEBreaker.")
    parser.add_argument("--scheduler", help="of a Dask cluster; default: one on this machine")
    parser.add_argument("--workers", type=int, help="processes of the cluster on this machine")
    parser.add_argument("--write", action="store_true", help="put it in docs/sweeps.md")
    chosen = parser.parse_args(arguments)
    check()
    with connect(chosen.scheduler, chosen.workers) as client:
        made = explore(open_workload(None), find_board(BOARD), OUT, client, places=PLACES,
                       seeds=SEEDS, count=bars())
    print("\n".join(notes(made)))
    if chosen.write:
        write(made)


if __name__ == "__main__":
    main()
