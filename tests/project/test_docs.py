"""The documentation says what is true: its code runs, its links lead somewhere, it is complete."""

import ast
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

import sknpcnn
import sknpcnn.architectures
import sknpcnn.augmentation
import sknpcnn.callbacks
import sknpcnn.datasets
import sknpcnn.display
import sknpcnn.layers
import sknpcnn.lite
import sknpcnn.optimizers
import sknpcnn.schedules
import sknpcnn.weights

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "guide").glob("*.md")),
    *sorted((ROOT / "docs" / "book").glob("*.md")),
    ROOT / "benchmarks" / "README.md",
]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^(`{3,})[^`]*?$.*?^\1$", re.MULTILINE | re.DOTALL)
IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]*)\)")
DIRECTIVE = re.compile(r"^[`:]{3,}\{(?:figure|image)\} *(\S+)\n((?::.*\n)*)", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]*)(?:#([^)\s]*))?\)")


def name_of(page):
    return str(page.relative_to(ROOT))


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if BLOCK.search(p.read_text())], ids=name_of)
def test_code_runs(page, tmp_path, monkeypatch):
    text = page.read_text()
    module = ModuleType("documented_" + page.stem.lower())  # so that its classes can be pickled
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.chdir(tmp_path)
    for block in BLOCK.finditer(text):
        first_line = text.count("\n", 0, block.start(1))
        code = compile("\n" * first_line + block[1], str(page), "exec")
        exec(code, vars(module))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_code_can_be_pasted_into_a_prompt(page):
    """Python's prompt takes a loop and the like for finished at a blank line only."""
    for block in BLOCK.findall(page.read_text()):
        lines = block.splitlines()
        for statement in ast.parse(block).body[:-1]:
            if hasattr(statement, "body"):
                assert lines[statement.end_lineno] == "", lines[statement.end_lineno - 1]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    text = FENCED.sub("", page.read_text())
    for target, anchor in LINK.findall(text):
        if "://" in target:
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            anchors = [re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles]
            assert anchor in anchors, f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_images_are_described(page):
    """A reader who does not see an image is told what it shows."""
    text = page.read_text()
    assert [image for words, image in IMAGE.findall(text) if not words.strip()] == []
    directives = DIRECTIVE.findall(text)
    assert [image for image, options in directives if not re.search(r":alt: +\S", options)] == []


@pytest.mark.parametrize(
    "module",
    [
        sknpcnn,
        sknpcnn.architectures,
        sknpcnn.augmentation,
        sknpcnn.callbacks,
        sknpcnn.datasets,
        sknpcnn.display,
        sknpcnn.layers,
        sknpcnn.lite,
        sknpcnn.optimizers,
        sknpcnn.schedules,
        sknpcnn.weights,
        *([sknpcnn.onnx] if find_spec("onnx") is not None else []),
    ],
    ids=lambda m: m.__name__,
)
def test_api_page_is_complete(module):
    page = (ROOT / "docs" / "api.md").read_text()
    names = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, sknpcnn.spec.Spec) and name != "Spec"
    ]
    missing = [name for name in names if not re.search(rf"`{name}\b", page)]
    assert not missing


def test_every_module_has_its_place_on_the_page_of_how_it_works():
    page = (ROOT / "docs" / "how_it_works.md").read_text()
    modules = [path.name for path in (ROOT / "sknpcnn").glob("[!_]*.py")]
    assert [name for name in modules if name not in page] == []


def test_readme_sets_up_everything_in_each_of_its_two_lines():
    """The lines that ``.ci/run`` takes from here."""
    lines = re.findall(r"^python3 -m venv .*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(lines) == 2
    assert lines[0].endswith("examples/quickstart.py")
    assert lines[1].endswith("-m pytest -n auto")


def test_picture_is_small():
    assert (ROOT / "docs" / "images" / "digits.png").stat().st_size < 100_000


@pytest.mark.parametrize("name", ["learning_rates", "numbers_of_images"])
def test_picture_of_the_guide_is_small(name):
    assert (ROOT / "docs" / "images" / f"{name}.png").stat().st_size < 60_000
