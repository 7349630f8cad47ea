"""Options that several commands have."""

from __future__ import annotations

import click

from compiler.frontends import INPUT_TYPES


__all__ = ["data_option", "input_option"]

data_option = click.option(
    "--data", metavar="DATA", help="Inputs: an IDX file (labels beside it), a folder of MNIST's "
    "files, a file or folder of CIFAR-10, an .npz with x and y, an .npy, a "
    "folder with a folder of pictures for each class, 'digits' or 'xor'.")
input_option = click.option(
    "--input-type", type=click.Choice(list(INPUT_TYPES)),
    help="What the network is fed, where its file does not say.")
