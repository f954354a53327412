"""The site of the documentation: what our own extensions of Sphinx make of the pages."""

import re
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

import pytest

import sknpcnn
from tests.processes import run_python

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.fixture
def extension(monkeypatch):
    """Import a module of ``docs/_ext`` or ``docs``."""
    monkeypatch.setattr(sys, "path", [str(DOCS / "_ext"), str(DOCS), *sys.path])
    yield import_module
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(DOCS)):
            del sys.modules[name]


def needs_sphinx():
    if find_spec("sphinx") is None or find_spec("myst_parser") is None:
        pytest.skip("the extra 'docs' is not installed")


# Links to files outside of docs/


@pytest.fixture
def repository(tmp_path):
    """A repository with a page of each kind of link, and the configuration of its site."""
    for name in ("docs", "package", "examples/browser"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "package" / "code.py").write_text("answer = 42\n")
    (tmp_path / "examples" / "plot_it.py").write_text('"""It."""\n')
    (tmp_path / "CHANGES.md").write_text("# Changes\n\nSee [the page](docs/index.md#two).\n")
    links = {
        "code": "../package/code.py",
        "example": "../examples/plot_it.py",
        "folder": "../examples/browser",
        "changes": "../CHANGES.md",
        "anchor": "../CHANGES.md#changes",
    }
    text = "\n\n".join(f"[{name}]({target})" for name, target in links.items())
    text += "\n\n```{toctree}\nchanges\ngallery/plot_it\n```\n"
    (tmp_path / "docs" / "index.md").write_text(f"# One\n\n{text}\n\n## Two\n")
    (tmp_path / "docs" / "changes.md").write_text("```{include} ../CHANGES.md\n```\n")
    (tmp_path / "docs" / "gallery").mkdir()
    (tmp_path / "docs" / "gallery" / "plot_it.md").write_text("# It\n")
    (tmp_path / "docs" / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(DOCS / '_ext')!r})\n"
        "extensions = ['myst_parser', 'code_links']\nmyst_heading_anchors = 3\n"
        "code_pages = {'CHANGES.md': 'changes'}\n"
    )
    return tmp_path


def built(repository, *options):
    """Build the site, and return the links of its first page, by text, and its folder."""
    needs_sphinx()
    site = repository / "site"
    run_python("-m", "sphinx", "-q", "-W", *options, repository / "docs", site)
    links = re.findall(r'<a class="[^"]*" href="([^"]*)"[^>]*>(.*?)</a>', text_of(site, "index"))
    return {re.sub("<.*?>", "", text): target for target, text in links}, site


def text_of(site, page):
    return (site / f"{page}.html").read_text("utf-8")


def test_without_a_code_host_source_files_are_pages_of_the_site(repository):
    links, site = built(repository)
    assert links["code"] == "source/package/code.py.html"
    assert "answer" in text_of(site, "source/package/code.py")
    assert "folder" not in links
    assert re.search(r"<span[^>]*>folder</span>", text_of(site, "index"))


def test_with_a_code_host_links_lead_there(repository):
    links, site = built(repository, "-D", "code_host=https://code.example/main")
    assert links["code"] == "https://code.example/main/package/code.py"
    assert links["folder"] == "https://code.example/main/examples/browser"
    assert not (site / "source").exists()


def test_examples_and_pages_that_the_site_shows_are_links_within_it(repository):
    links, site = built(repository)
    assert links["example"] == "gallery/plot_it.html"
    assert links["changes"] == "changes.html"
    assert links["anchor"] == "changes.html#changes"
    assert 'href="index.html#two"' in text_of(site, "changes")


@pytest.mark.parametrize("target", ["../package/none.py", "../CHANGES.md#none", "#none"])
def test_a_broken_link_fails_the_build(repository, target):
    page = repository / "docs" / "index.md"
    page.write_text(f"{page.read_text()}\n[broken]({target})\n")
    with pytest.raises(AssertionError, match="not found"):
        built(repository)


# The API


def test_public_modules_are_found_and_those_behind_sknpcnn_are_not(extension):
    if find_spec("onnx") is None:
        pytest.skip("sknpcnn.onnx cannot be imported")
    names = extension("api_pages").public_modules()
    assert {"sknpcnn", "sknpcnn.layers", "sknpcnn.onnx", "sknpcnn.lite"} <= set(names)
    assert not {"sknpcnn.classifier", "sknpcnn.saving", "sknpcnn.version"} & set(names)


def test_every_public_name_of_a_module_has_a_place_on_its_page(extension):
    api_pages = extension("api_pages")
    page = api_pages.page("sknpcnn.layers")
    lines = [line.strip() for line in page.splitlines()]
    types = {"Array", "Arrays", "Shape"}  # of NumPy and of Python
    assert set(sknpcnn.layers.__all__) - types <= set(lines)
    assert not types & set(lines)
    assert api_pages.page("sknpcnn").count("autosummary::") == 2  # classes and functions


def test_text_is_a_link_where_it_begins_with_a_public_name(extension):
    needs_sphinx()
    target_of = extension("api_links").target_of
    known = {"sknpcnn.layers.Conv2D": None}
    assert target_of("Conv2D(filters)", "sknpcnn.layers", known) == "sknpcnn.layers.Conv2D"
    assert target_of("Conv2D", "sknpcnn.losses", known) is None
    assert target_of('"focal"', "sknpcnn.losses", known) is None
    assert target_of("fit(X, y)", "sknpcnn", known) == "sknpcnn.NumpyCNNClassifier.fit"
    assert target_of("score(X, y)", "sknpcnn", known) is None  # scikit-learn documents it


# The diagram, the gallery, other packages


def test_every_arrow_of_the_diagram_leads_down(extension):
    needs_sphinx()
    rooms = extension("rooms")
    text = (DOCS / "design.md").read_text("utf-8").split("```mermaid\n")[1].split("```")[0]
    diagram = rooms.read(text)
    level = {key: i for i, row in enumerate(rooms.rows_of(diagram)) for key in row}
    assert level.keys() == diagram.boxes.keys()
    assert len(diagram.arrows) == text.count("-->")
    assert all(level[above] < level[below] for above, below in diagram.arrows)
    picture = rooms.svg(diagram)
    assert picture.count("<rect") == len(diagram.boxes)
    assert picture.count("marker-end") == len(diagram.arrows)
    assert 'role="img" aria-label="Which package imports which' in picture


@pytest.mark.parametrize(
    "text",
    ["graph LR", "flowchart TD\n a(round)", 'flowchart TD\n a["A"]\n b["B"]\na --> b\nb --> a'],
)
def test_a_diagram_that_cannot_be_drawn_is_an_error(extension, text):
    needs_sphinx()
    from sphinx.errors import ExtensionError

    rooms = extension("rooms")
    with pytest.raises(ExtensionError, match=r"diagram"):
        rooms.rows_of(rooms.read(text))


def test_figures_of_notebooks_are_described_if_they_are_not(extension):
    needs_sphinx()
    from docutils import nodes
    from docutils.utils import new_document

    images = [nodes.image(uri="1.svg"), nodes.image(uri="2.svg", alt="A digit")]
    cell = nodes.container("", *images, classes=["cell_output"])
    document = new_document("page")
    document += nodes.section("", nodes.title("", "Pooling"), cell, nodes.image(uri="3.svg"))
    extension("figure_words").describe(document)
    words = [image.get("alt") for image in document.findall(nodes.image)]
    assert words == ["Pooling: what the code above draws", "A digit", None]


def test_examples_are_given_the_folder_of_their_data(extension, monkeypatch, tmp_path):
    gallery = extension("gallery_data")
    (tmp_path / "mnist").mkdir()
    monkeypatch.setenv("SKNPCNN_DATA", str(tmp_path))
    assert gallery.folder_of("examples/plot_mnist.py") == [str(tmp_path / "mnist")]
    assert gallery.folder_of("examples/plot_cifar10.py") == []  # there is no such folder
    assert gallery.folder_of("examples/plot_digits.py") == []
    monkeypatch.delenv("SKNPCNN_DATA")
    assert gallery.folder_of("examples/plot_mnist.py") == []


def test_a_notebook_for_the_browser_installs_the_package_first(extension):
    notebook = {"cells": [{"cell_type": "code", "source": ["import sknpcnn"]}]}
    extension("gallery_data").prepare_for_the_browser(notebook, "plot_digits.ipynb")
    assert [cell["source"] for cell in notebook["cells"]] == [
        ["%pip install sknpcnn\n"],
        ["import sknpcnn"],
    ]


def test_gallery_begins_with_the_examples_that_exist(extension):
    gallery = extension("gallery_data")
    names = [path.name for path in (ROOT / "examples").glob("*.py")]
    assert sorted(names, key=gallery.Order(""))[: len(gallery.FIRST)] == gallery.FIRST
    assert set(gallery.FOLDERS) <= set(names)


def test_documentation_that_cannot_be_reached_is_left_out_and_named(extension, tmp_path, capsys):
    inventories = extension("inventories")
    addresses = {"one": "http://127.0.0.1:9/", "two": "http://127.0.0.1:9/"}
    (tmp_path / "two.inv").write_bytes(b"of an earlier build")
    found = inventories.reachable(tmp_path, addresses)
    assert found == {"two": (addresses["two"], str(tmp_path / "two.inv"))}
    assert "documentation of one: it cannot be reached" in capsys.readouterr().out


def test_documentation_that_can_be_reached_is_linked_to(extension, tmp_path):
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "objects.inv").write_bytes(b"an inventory")
    handler = partial(QuietHandler, directory=tmp_path / "served")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        found = extension("inventories").reachable(tmp_path / "kept", {"one": address})
        server.shutdown()
    assert found == {"one": (address, str(tmp_path / "kept" / "one.inv"))}
    assert (tmp_path / "kept" / "one.inv").read_bytes() == b"an inventory"


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files without a line on standard error for each."""

    def log_message(self, *args):
        pass


# What has been built


PAGE = '<h2 id="a">A</h2><a href="#a">a</a><a href="two.html#b">b</a><img src="i.png" alt="I">'


def test_a_site_in_order_has_no_problems(extension, tmp_path):
    (tmp_path / "i.png").touch()
    (tmp_path / "one.html").write_text(PAGE + '<a href="https://example.org/x">not looked at</a>')
    (tmp_path / "two.html").write_text('<p id="b"><a href="one.html">one</a></p>')
    assert extension("check_site").problems(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('<a href="three.html">', "three.html leads nowhere"),
        ('<a href="#c">', "#c: there is no such place in the page"),
        ('<a href="two.html#c">', "two.html#c: there is no such place in the page"),
        ('<link href="none.css">', "none.css leads nowhere"),
        ('<a href="../out.html">', "../out.html leads nowhere"),
        ('<img src="i.png">', "the image i.png has no description (alt)"),
        ('<img src="i.png" alt="images/i.png">', "the image i.png has no description (alt)"),
        ('<img src="i.png" alt=" ">', "the image i.png has no description (alt)"),
    ],
)
def test_problems_of_a_site_are_found(extension, tmp_path, text, problem):
    (tmp_path / "i.png").touch()
    (tmp_path / "one.html").write_text(PAGE + text)
    (tmp_path / "two.html").write_text('<p id="b">')
    assert extension("check_site").problems(tmp_path) == [f"one.html: {problem}"]


def test_a_folder_without_pages_is_a_problem(extension, tmp_path):
    assert extension("check_site").problems(tmp_path) == [f"{tmp_path} contains no pages"]


def test_numbers_of_the_front_page_are_those_of_the_readme():
    readme = (ROOT / "README.md").read_text("utf-8").splitlines()
    page = (DOCS / "index.md").read_text("utf-8").splitlines()
    rows = [line for line in page if line.startswith("| ")]
    assert len(rows) > 10
    assert [row for row in rows if row not in readme] == []
