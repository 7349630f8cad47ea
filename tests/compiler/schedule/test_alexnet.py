"""How large AlexNet is in the flash."""

import pytest

from boards.catalogue import BOARDS
from compiler import models
from compiler.frontends import load
from compiler.passes import to_integer
from compiler.passes.place_joins import place_joins
from compiler.schedule import packets as make
from compiler.schedule.fit import fit
from compiler.schedule.image import Image
from compiler.schedule.program import Writer
from compiler.schedule.regions import regions_of
from compiler.schedule.residency import Choice, Run
from compiler.schedule.tasks import tasks_of
from compiler.schedule.tiles import tiles
from compiler.schedule.units import choose
from compiler.schedule.walk import describe
from compiler.stages import split


@pytest.mark.slow
def test_the_image_of_xnor_net_has_at_most_11_mib():
    """All weights come from the flash here; residency moves some of them, and adds few octets."""
    config = fit(BOARDS["icebreaker"])
    parts = split(place_joins(to_integer(load(models.network("alexnet-xnor")))))
    tasks = tasks_of(parts)
    layers = choose(tasks, regions_of(parts, tasks), config)
    work = [tuple(tiles(lowered, config)) for lowered in layers]
    every = [tile for own in work for tile in own]
    choice = Choice(runs=tuple((Run(len(tile.weights)),) for tile in every), rooms=(),
                    ahead=(1,) * len(layers), cycles=0)
    writer = Writer(config, choice, every)
    for lowered, own in zip(layers, work, strict=True):
        writer.add(make.layer(lowered.task.name, describe(lowered, 0, 0)), len(own),
                   fixed=lowered.fixed)
    program = make.encode([*writer.program, make.end()]).tobytes()
    size = len(Image(config.hash, config.image_offset, b"", program, {}).to_bytes())
    print(f"{size} octets, {size / 2 ** 20:.3f} MiB")
    assert size <= 11 << 20
