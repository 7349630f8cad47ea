"""The site of the documents is made without a warning, is whole, and needs no network."""

import re
import subprocess
import sys
from collections import defaultdict
from html.parser import HTMLParser
from importlib import import_module
from pkgutil import walk_packages
from types import FunctionType
from urllib.parse import unquote, urlsplit

import pytest

from tests.compiler.page.browser import browser, opened
from tests.transcript import DOCS, ROOT


PACKAGES = "hdl", "compiler", "sim", "boards"
LOADED = {"img", "script", "link", "source", "iframe"}  # without being asked for
WIDTHS = 1280, 400
NARROW = """() => [...document.querySelectorAll("article *")].filter(
    it => it.getBoundingClientRect().right > innerWidth + 1
          && !it.closest("pre, .table-wrapper")).map(it => it.outerHTML.slice(0, 100))"""


class Page(HTMLParser):
    """What a page leads to, what it loads, and the places that it has."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.places = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        facts = dict(attributes)
        self.places.update(filter(None, [facts.get("id")]))
        for target in filter(None, [facts.get("href"), facts.get("src")]):
            (self.loads if tag in LOADED else self.links).append(target)


def modules():
    """Return the names of all modules but programs."""
    found = [*PACKAGES]
    for package in PACKAGES:
        found += [made.name for made in walk_packages(import_module(package).__path__,
                                                      f"{package}.")]
    return [name for name in found if not name.endswith("__main__")]


def public(name):
    """Return the classes and functions that a module defines and lists in ``__all__``."""
    module = import_module(name)
    found = {entry: getattr(module, entry) for entry in getattr(module, "__all__", ())}
    return [entry for entry, value in found.items()
            if isinstance(value, type | FunctionType) and value.__module__ == name]


def check_links(site, pages):
    wrong = defaultdict(list)
    for path, page in pages.items():
        for target in page.links + page.loads:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                if target in page.loads:
                    wrong[path.name].append(f"{target} is loaded")
                continue
            goal = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not goal.is_file():
                wrong[path.name].append(f"{target} is not there")
            elif parts.fragment and goal in pages and (
                    unquote(parts.fragment) not in pages[goal].places):
                wrong[path.name].append(f"{target} has no such place")
    assert not wrong


def check_navigation(pages, index):
    for source in DOCS.glob("*.md"):
        assert source.stem == "index" or f"{source.stem}.html" in pages[index].links


def check_reference(pages):
    places = set().union(*(page.places for page in pages.values()))
    names = modules()
    assert len(names) > 200
    lacking = [name for name in names if f"module-{name}" not in places]
    lacking += [f"{name}.{entry}" for name in names for entry in public(name)
                if f"{name}.{entry}" not in places]
    assert not lacking


def check_in_browser(site, pages):
    with browser() as running:
        if running is None:
            return
        for path in pages:
            for width in WIDTHS:
                said = []
                with opened(running, path, width, complaints=said) as page:
                    wide = page.evaluate("document.documentElement.scrollWidth")
                    assert wide <= width, f"{path.name} must be at most {width} px wide"
                    assert not page.evaluate(NARROW), path.name
                said = [line for line in said if not line.startswith(site.as_uri())]
                assert not said, path.name


def test_site(tmp_path):
    pytest.importorskip("sphinx")
    site = (tmp_path / "site").resolve()
    made = subprocess.run([sys.executable, "-m", "sphinx", "-q", "-E", "-W", "--keep-going",
                           "-d", tmp_path / "doctrees", DOCS, site],
                          cwd=ROOT, text=True, capture_output=True, check=False)
    assert made.returncode == 0, made.stderr
    assert not made.stderr
    pages = {path: Page(path.read_text()) for path in site.rglob("*.html")}
    check_links(site, pages)
    check_navigation(pages, site / "index.html")
    check_reference(pages)
    check_in_browser(site, pages)


def test_tables_come_from_the_code():
    used = set(re.findall(r"{{ (\w+) }}", (DOCS / "descriptors.md").read_text()))
    tables = import_module("docs.tables").TABLES
    assert used == set(tables)
    assert "| `KEPT` | 10 |" in tables["opcodes"]
    assert "| `plane` | 8 | 111:104 |" in tables["layer"]
    assert "| `image_hash` | 4 | 8 |" in tables["identity"]
