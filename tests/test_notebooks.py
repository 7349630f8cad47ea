"""The notebooks: each runs from its first cell to its last, and shows what it promises.

They are kept without outputs. Some of these are not the same on every machine, such as accuracy
after training, so that nobody could tell whether they are stale.
"""

import re
import tempfile
from pathlib import Path

import nbformat
import pytest
from matplotlib import font_manager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from traitlets.config import Config


ROOT = Path(__file__).parent.parent
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LONGEST = 100  # columns
CELL = 40      # lines
MOST = 1500    # seconds: on a busy machine, place and route may take ten minutes, or a second seed

# How many pictures each shows, and what of its text.
SHOWN = {
    "1_from_training_to_bitstream": (2, [
        r"9\d\.\d\d% of 445 pictures are right", r"nothing to refuse", r"bitstream\.bin",
        r"lut4 +\d+ +5280", r"\(frame\) +\d+", r"report\.html", r"the same bitstream"]),
    "2_golden_model_and_gateware": (5, [
        r"sign1 +256 values in each of 20 frames, 0 differ",
        r"gateware: sample \d+, layer 'sign1', channel 15", r"as foretold",
        r"the answer is that of the golden model",
        r"half of the sum: (-?\d+); the golden model's sum"]),
    "3_where_the_cycles_go": (2, [
        r"LFC +\d+,\d+ cycles", r"half array", r"LFC +[\d,]+ +1\.\d\dx +2\.00x"]),
    "4_dynamic_precision": (3, [
        r"dynamic +9\d\.\d\d%", r"static +\d\d\.\d\d%", r"floating point: 9\d\.\d\d%"]),
}


def read(path):
    return nbformat.read(path, as_version=4)


def execute(notebook, folder):
    """Run all cells in ``folder``, in a kernel of its own; an error of a cell is raised.

    Kernels talk through sockets in the file system, since a port that is free may be taken by the
    kernel of another process; their paths must be short. Matplotlib complains in a kernel that is
    the first to look for fonts, so that is done here.
    """
    assert font_manager.findfont("DejaVu Sans")
    with tempfile.TemporaryDirectory() as sockets:
        config = Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"}})
        NotebookClient(notebook, config=config, timeout=None,
                       resources={"metadata": {"path": str(folder)}}).execute()


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def test_each_is_known():
    assert [path.stem for path in PATHS] == list(SHOWN)


@pytest.mark.timeout(MOST)
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_runs_and_shows(path, tmp_path):
    pytest.importorskip("torch")
    notebook = read(path)
    execute(notebook, tmp_path)
    made = outputs(notebook)
    assert [output.text for output in made if output.get("name") == "stderr"] == []
    pictures, texts = SHOWN[path.stem]
    assert sum("image/png" in output.get("data", {}) for output in made) == pictures
    said = "".join(output.get("text", "") + output.get("data", {}).get("text/html", "")
                   for output in made)
    for text in texts:
        assert re.search(text, said), f"{path.name} must show {text!r}"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_is_clean(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    assert outputs(notebook) == [], f"{path.name} must have no outputs: see CONTRIBUTING.md"
    for cell in notebook.cells:
        assert cell.get("execution_count") is None
        assert not cell.metadata
        lines = cell.source.splitlines()
        assert len(lines) <= CELL
        assert max(map(len, lines)) <= LONGEST


def test_an_error_and_a_warning_are_seen(tmp_path):
    cells = [nbformat.v4.new_code_cell(source) for source in (
        "import warnings", "warnings.warn('odd')", "print('shown')")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    execute(notebook, tmp_path)
    assert [output.name for output in outputs(notebook)] == ["stderr", "stdout"]
    cells[1].source = "raise ValueError('odd')"
    with pytest.raises(CellExecutionError, match="ValueError"):
        execute(nbformat.v4.new_notebook(cells=cells), tmp_path)
