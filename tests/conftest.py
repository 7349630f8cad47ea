"""What holds for all tests."""

import os

import pytest
from hypothesis import settings


def pytest_configure():
    """Let an example take as long as a busy machine makes it take; repeat the same ones in CI."""
    settings.register_profile("house", deadline=None, derandomize="CI" in os.environ)
    settings.load_profile("house")


def pytest_collection_modifyitems(items):
    """Give tests that are known to take minutes all the time that they take. Notebooks, of which
    one places and routes, come first, so that nobody waits for them at the end."""
    items.sort(key=lambda item: item.path.name != "test_notebooks.py")
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(0))
