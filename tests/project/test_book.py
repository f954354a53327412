"""The textbook says what is true: its code runs without a site, and the lines it shows exist."""

import ast
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "docs" / "book"
CHAPTERS = sorted(BOOK.glob("[0-9]*.md"))
FENCED = re.compile(r"^```\{([\w-]+)\}([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
every_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)


def cells(text):
    """List the first line and the code of each code cell, without the options above the code."""
    found = []
    for block in FENCED.finditer(text):
        if block[1] == "code-cell":
            code = re.sub(
                r"\A---\n.*?^---\n|\A(:[^\n]*\n)+", "", block[3], flags=re.MULTILINE | re.DOTALL
            )
            lines_above = text.count("\n", 0, block.end(3) - len(code))
            found.append((lines_above, code))
    return found


def included(text):
    """List the file and the dotted name of each object that a page includes."""
    found = []
    for directive, argument, body in FENCED.findall(text):
        if directive == "literalinclude":
            name = re.search(r"^:pyobject: (\S+)$", body, re.MULTILINE)
            found.append((argument.strip(), name[1] if name else None))
    return found


def definition(file, name):
    """Return the class or function that a dotted name means in a file, or None."""
    found = ast.parse(file.read_text())
    for part in name.split("."):
        kinds = ast.FunctionDef | ast.ClassDef
        inside = [n for n in found.body if isinstance(n, kinds) and n.name == part]
        if not inside:
            return None
        found = inside[0]
    return found


@pytest.fixture
def figures(monkeypatch):
    """Matplotlib without a window; what the pages share can be imported, only for one test."""
    matplotlib = pytest.importorskip("matplotlib")
    before = {name for name, module in sys.modules.items() if module is not None}
    monkeypatch.syspath_prepend(str(BOOK))
    with matplotlib.rc_context():
        matplotlib.use("Agg")
        pyplot = pytest.importorskip("matplotlib.pyplot")
        yield pyplot
        pyplot.close("all")
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(BOOK)):
            del sys.modules[name]


@pytest.mark.slow
@every_chapter
def test_cells_run_in_their_order(chapter, figures, monkeypatch, tmp_path):
    # showing warns that there is no window; what it would show has been drawn by then
    monkeypatch.setattr(figures, "show", lambda: draw_all(figures))
    monkeypatch.chdir(tmp_path)
    module = ModuleType("chapter_" + chapter.stem)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for lines_above, code in cells(chapter.read_text()):
        exec(compile("\n" * lines_above + code, str(chapter), "exec"), vars(module))
    draw_all(figures)
    assert list(tmp_path.iterdir()) == []


def draw_all(pyplot):
    """Draw all open figures, as a page does, and close them."""
    for number in pyplot.get_fignums():
        pyplot.figure(number).canvas.draw()
    pyplot.close("all")


@every_chapter
def test_lines_of_the_package_are_there(chapter):
    found = included(chapter.read_text())
    assert found
    for path, name in found:
        file = (BOOK / path).resolve()
        assert file.is_relative_to(ROOT / "sknpcnn"), path
        assert name is not None, f"{path} is included as a whole"
        assert definition(file, name) is not None, f"{path}: {name}"


def shows_or_checks(code):
    """Return whether code prints, draws, asserts, or ends in a value that a page shows.

    Functions may have a cell of their own, before those that call them.
    """
    tree = ast.parse(code)
    definitions = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef
    if all(isinstance(statement, definitions) for statement in tree.body):
        return True
    called = [
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    ]
    return (
        isinstance(tree.body[-1], ast.Expr)
        or any(isinstance(node, ast.Assert) for node in ast.walk(tree))
        or any(name in ("print", "show") or name.startswith("assert_") for name in called)
    )


@every_chapter
def test_every_cell_shows_or_checks_something(chapter):
    for lines_above, code in cells(chapter.read_text()):
        assert shows_or_checks(code), f"line {lines_above + 1}"


@every_chapter
def test_links_lead_to_pages(chapter):
    text = FENCED.sub("", chapter.read_text())
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        assert "://" in target or (BOOK / target).exists(), target


def test_every_chapter_is_in_the_list_of_chapters():
    page = (BOOK / "index.md").read_text()
    listed = re.findall(r"^\| (\d+) \| \[?([^|\]]+?) ?[\]|]", page, re.MULTILINE)
    titles = dict(enumerate((title for _, title in listed), 1))
    assert [int(number) for number, _ in listed] == list(titles)
    for path in CHAPTERS:
        title = re.search(r"^# (.+)$", path.read_text(), re.MULTILINE)
        assert titles[int(path.stem[:2])] == title[1]
