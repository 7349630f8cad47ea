"""What holds for all tests."""

import os

from hypothesis import settings


def pytest_configure():
    """Let an example take as long as a busy machine makes it take; repeat the same ones in CI."""
    settings.register_profile("house", deadline=None, derandomize="CI" in os.environ)
    settings.load_profile("house")
