"""Networks and pictures with known answers, which the project does not ship."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest


ROOT = Path(__file__).parents[3]


def shared(name):
    """Return the path of a file or folder of real data; skips the test where it is missing."""
    data = Path(os.environ.get("XNORLOOM_DATA", ROOT.parent / "shared" / "data"))
    if not (data / name).exists():
        pytest.skip(f"needs '{name}' in {data}; XNORLOOM_DATA tells where the real data are")
    return data / name


def mnist_test():
    """Return the 10,000 test pictures, (samples, 784), and their labels."""
    images = gzip.decompress(shared("mnist/t10k-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress(shared("mnist/t10k-labels-idx1-ubyte.gz").read_bytes())
    return (np.frombuffer(images, np.uint8, offset=16).reshape(-1, 784).astype(np.int64),
            np.frombuffer(labels, np.uint8, offset=8))
