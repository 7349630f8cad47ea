"""How Sphinx makes the site of these pages; CONTRIBUTING.md has the command."""

import inspect
import sys
from importlib import import_module
from pathlib import Path

from amaranth.hdl import Elaboratable
from sphinx.addnodes import pending_xref


ROOT = Path(__file__).parent.parent
sys.path[:0] = str(ROOT), str(ROOT / "docs")  # these sources, not those that are installed

project = "xnorloom"
copyright = "the contributors of xnorloom"

extensions = [
    "myst_parser",          # pages are Markdown, which GitHub shows, too
    "sphinx.ext.apidoc",    # writes reference/: a page for each package
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",  # sections of docstrings, such as Parameters
]
exclude_patterns = ["reference/*/modules.rst"]  # of apidoc, with one entry each

myst_heading_anchors = 4    # as on GitHub
myst_enable_extensions = ["substitution"]
myst_substitutions = import_module("tables").TABLES

apidoc_modules = [
    {"path": f"../{package}", "destination": f"reference/{package}",
     "exclude_patterns": ["../compiler/__main__.py", "../sim/__main__.py"]}
    for package in ("hdl", "compiler", "sim", "boards")]
apidoc_module_first = True

autodoc_default_options = {"member-order": "bysource", "exclude-members": "elaborate"}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_use_ivar = True    # an attribute is told once, where its class tells it
napoleon_custom_sections = [("Members", "params_style")]
highlight_language = "none"  # of code that does not tell its own
default_role = "py:obj"     # `name` links where it is known, and is code where it is not

html_theme = "furo"
html_theme_options = {"light_css_variables": {"code-font-size": "75%"}}  # 100 columns fit
html_title = "xnorloom"
html_use_index = False      # search finds all of it
html_domain_indices = False
html_copy_source = False
html_show_sourcelink = False


def join_headings(app, page, source):
    """Leave out the heading that apidoc puts above the modules of a package, with none below it."""
    source[0] = source[0].replace("Submodules\n----------\n", "")


def is_foreign(app, kind, name, found, skip, options):
    """Leave out what a package only passes on: it is told where it is defined."""
    home = getattr(found, "__module__", None)
    here = app.env.current_document.autodoc_module
    return True if kind == "module" and here and home not in (None, here) else None


def show_parameters(app, kind, name, found, options, signature, returned):
    """Show what a component takes, and not what all of Amaranth's classes take."""
    if kind == "class" and issubclass(found, Elaboratable):
        parameters = list(inspect.signature(found.__init__).parameters.values())[1:]
        return str(inspect.Signature(parameters)), None
    if signature and "<factory>" in signature:  # of a dataclass; it is no Python
        return signature.replace("<factory>", "..."), returned
    return None


def settle_links(app, page):
    """Let a name in a docstring mean what it means in its module, or else nothing, and let a link
    to a source file lead to its module.

    Left alone, Sphinx takes any name of the reference that ends so.
    """
    for link in page.findall(pending_xref):
        target = link["reftarget"]
        if link["reftype"] == "myst" and target.endswith(".py"):
            module = target.removesuffix(".py").replace("/", ".")
            link["reftarget"] = module.removesuffix(".__init__")
        elif link["refdomain"] == "py":
            link.attributes.pop("refspecific", None)
            found = getattr(sys.modules.get(link.get("py:module")), target, None)
            if hasattr(found, "__module__") and hasattr(found, "__qualname__"):
                link["reftarget"] = f"{found.__module__}.{found.__qualname__}"


def setup(app):
    app.connect("source-read", join_headings)
    app.connect("autodoc-skip-member", is_foreign)
    app.connect("autodoc-process-signature", show_parameters)
    app.connect("doctree-read", settle_links)
