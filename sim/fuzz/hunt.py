"""Draws networks, runs them, and counts what came of it."""

import hashlib
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity

from compiler.errors import ToolError, UserError
from compiler.tools import compile_c
from hdl.config import Config
from sim.fuzz.builder import Network
from sim.fuzz.kinds import kinds_of
from sim.fuzz.networks import networks
from sim.fuzz.saved import save
from sim.fuzz.trial import Ready, as_integers, hold_c, hold_program, hold_rtl
from sim.native import AVX2, has_avx2


__all__ = ["SANITIZERS", "Failure", "Tally", "Wanted", "hold", "hunt"]

CFLAGS = (("-O1", "-DNET_KERNEL=NET_KERNEL_PORTABLE"), ("-O0", "-DNET_KERNEL=NET_KERNEL_PLAIN"),
          ("-O1", "-march=native"), ("-O3", "-march=native"))
SANITIZERS = "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"

FEW = 20  # draws more than are needed, as some are refused, and some come twice

Way = Callable[[Ready], None]


@dataclass
class Tally:
    """How many networks went how far, and why others did not."""

    c: int = 0
    rtl: int = 0
    c_kinds: Counter = field(default_factory=Counter)    # networks that have a kind of layer
    rtl_kinds: Counter = field(default_factory=Counter)
    refused: dict[str, Counter] = field(default_factory=lambda: {
        who: Counter() for who in ("passes", "c", "rtl")})
    seen: set[bytes] = field(default_factory=set)

    def is_new(self, network: Network) -> bool:
        """Whether the network was not drawn before."""
        digest = hashlib.sha256(network.frames.tobytes())
        for node in network.graph.nodes:
            for name, value in vars(node).items():
                digest.update(name.encode())
                digest.update(value.tobytes() if hasattr(value, "tobytes") else
                              repr(value).encode())
        known = digest.digest() in self.seen
        self.seen.add(digest.digest())
        return not known


@dataclass(frozen=True)
class Failure:
    """A network on which something differs, reduced and saved."""

    seed: int
    what: str
    path: Path

    def __str__(self) -> str:
        return f"seed {self.seed}: {self.what}; python -m sim.fuzz --replay {self.path}"


@cache
def ways() -> tuple[Way, ...]:
    """The ways to build the C, in turn: layer by layer, or whole programs with sanitizers."""
    with tempfile.TemporaryDirectory() as made:
        source = Path(made) / "empty.c"
        source.write_text("int main(void) { return 0; }\n")
        try:
            compile_c([source], Path(made) / "empty", SANITIZERS)
        except ToolError:
            sanitized = ()
        else:
            sanitized = partial(hold_program, cflags=SANITIZERS),
    flags = *CFLAGS, *[("-O1", *AVX2)] * has_avx2()
    return (*(partial(hold_c, cflags=each) for each in flags), *sanitized)


def reason(refusal: UserError) -> str:
    """What was refused, whatever the names and the numbers are."""
    return re.sub(r"-?\d+(\.\d+)?", "#", re.sub(r"'[^']*'", "'...'", str(refusal)))


def hold(network: Network, config: Config, tally: Tally, *, rtl: bool) -> None:
    """Run a network wherever it can be run, and add to ``tally``.

    Raises `sim.fuzz.trial.Differs`, or what goes wrong.
    """
    def tried(who: str, run: Callable[[], Ready | None]) -> Ready | None | UserError:
        try:
            return run()
        except UserError as refusal:
            tally.refused[who][reason(refusal)] += 1
            return refusal

    ready = tried("passes", lambda: as_integers(network))
    if not isinstance(ready, Ready):
        return
    kinds = kinds_of(network.graph, ready.graph)
    way = ways()[tally.c % len(ways())]
    if tried("c", lambda: way(ready)) is None:
        tally.c += 1
        tally.c_kinds.update(kinds)
    if rtl and tried("rtl", lambda: hold_rtl(ready, config)) is None:
        tally.rtl += 1
        tally.rtl_kinds.update(kinds)


@dataclass(frozen=True)
class Wanted:
    """How many networks must be the same in C, and how many of these on the gateware."""

    c: int
    rtl: int
    config: Config = field(default_factory=Config)


def hunt(wanted: Wanted, seed: int, folder: Path, tally: Tally,
         progress: Callable[[], None] = lambda: None) -> Iterator[Failure]:
    """Run networks until enough were the same in C, and yield failures.

    A failure ends the draws of its seed, and the next seed follows. Where the gateware takes too
    few, it ends all the same. ``progress`` is called with every network.
    """
    while tally.c < wanted.c:
        before = tally.c
        if failure := draw(wanted, seed, folder, tally, progress):
            yield failure
        elif tally.c == before:
            return
        seed += 1


def draw(wanted: Wanted, seed: int, folder: Path, tally: Tally,
         progress: Callable[[], None]) -> Failure | None:
    """Draw networks from one seed; return the first failure, reduced.

    It is saved at once, and each time that it is reduced, which may take Hypothesis minutes.
    """
    failing = False
    path = folder / f"{seed}.npz"

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=2 * (wanted.c - tally.c) + FEW, database=None, deadline=None, print_blob=False,
        verbosity=Verbosity.quiet, suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink), report_multiple_bugs=False)
    @hypothesis.given(networks())
    def each(network):
        nonlocal failing
        counted = tally if not failing else Tally(c=tally.c)
        if not failing and (tally.c >= wanted.c or not tally.is_new(network)):
            return
        progress()
        try:
            hold(network, wanted.config, counted, rtl=failing or tally.rtl < wanted.rtl)
        except Exception:
            failing = True
            folder.mkdir(parents=True, exist_ok=True)
            save(network, path)
            raise

    try:
        each()
    except Exception as error:
        what = " ".join(str(error).split("\n")[0].split()) or type(error).__name__
        return Failure(seed, f"{type(error).__name__}: {what}", path)
    return None
