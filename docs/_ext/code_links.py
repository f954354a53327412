"""Makes links of Markdown pages to files outside of docs/ work in the site, too.

On a code host relative links such as ``../sknpcnn/layers/dense.py`` work as they are. In the site,
an example becomes its page in the gallery, and a page such as ``../CHANGELOG.md`` the page of the
site that shows it. Other files are looked up on the code host; as long as the address of one is not
configured (``code_host``), they are copied into the site, as pages.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.transforms import SphinxTransform


class Place(NamedTuple):
    """Where a link leads: to a page of the site, an address, or a copy of a file."""

    kind: str
    """``"page"``, ``"address"``, ``"copy"`` or ``"nowhere"``."""
    target: str


def place_of(path: Path, host: str, pages: dict[str, str], docs: Path) -> Place | None:
    """Return where a link to a file or folder leads, or None if it is one within the site."""
    if path.is_relative_to(docs) or not path.exists():
        return None  # links within the site, and broken ones, are Sphinx's business
    if not path.is_relative_to(docs.parent):
        raise ExtensionError(f"a page links to {path}, which is not in the repository")
    name = path.relative_to(docs.parent).as_posix()
    if name in pages:
        return Place("page", pages[name])
    if path.parent == docs.parent / "examples" and path.suffix == ".py":
        return Place("page", f"gallery/{path.stem}")
    if host:
        return Place("address", f"{host}/{name}")
    return Place("copy", f"source/{name}") if path.is_file() else Place("nowhere", name)


class LinksOutOfTheDocs(SphinxTransform):
    """Replace the nodes that MyST makes of links to files."""

    default_priority = 5

    def apply(self) -> None:
        """Look at each link that is neither an address nor an anchor."""
        kinds = addnodes.download_reference, addnodes.pending_xref
        links = [node for kind in kinds for node in self.document.findall(kind)]
        for node in links:
            if node.get("reftype") == "myst":
                self.redirect(node)

    def redirect(self, node: nodes.Element) -> None:
        """Let one link lead to where its file is in the site."""
        target, _, anchor = node["reftarget"].partition("#")
        anchor = node.get("reftargetid") or anchor
        docs, file = Path(self.env.srcdir).resolve(), self.source_of(node)
        if node.get("refdomain") == "doc":  # the name of a page, from the root of the site
            path = (docs / f"{target}.md").resolve()
        else:
            path = (file.parent / target).resolve()
        place = place_of(path, self.config.code_host, self.config.code_pages, docs)
        if place is None and not file.is_relative_to(docs) and path.is_relative_to(docs):
            place = Place("page", path.relative_to(docs).with_suffix("").as_posix())
        if place is None or not target:
            return
        kind, target = place
        if kind == "page":
            new = addnodes.pending_xref(
                refdoc=self.env.docname,
                refdomain="doc",
                reftype="myst",
                reftarget=target,
                reftargetid=anchor or None,
                refexplicit=True,
            )
        elif kind == "nowhere":
            new = nodes.inline()
        else:
            if kind == "copy":
                copies_of(self.env).setdefault(self.env.docname, set()).add(target)
                target = self.app.builder.get_relative_uri(self.env.docname, target)
            new = nodes.reference(refuri=target)
        new += [child.deepcopy() for child in node.children]
        node.replace_self(new)

    def source_of(self, node: nodes.Node | None) -> Path:
        """Return the file that a link is written in, which may be included in the page."""
        while node is not None and not node.source:
            node = node.parent
        page = Path(self.env.doc2path(self.env.docname)).resolve()
        return page if node is None else Path(node.source).resolve()


def copies_of(env: BuildEnvironment) -> dict[str, set[str]]:
    """Return which source files the pages link to, by page."""
    if not hasattr(env, "code_links"):
        env.code_links = {}  # type: ignore[attr-defined]
    return env.code_links  # type: ignore[attr-defined]


def forget(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget the links of a page that is read again."""
    copies_of(env).pop(docname, None)


def merge(app: Sphinx, env: BuildEnvironment, docnames: Any, other: BuildEnvironment) -> None:
    """Collect what a parallel reader has found."""
    copies_of(env).update({name: copies_of(other).get(name, set()) for name in docnames})


def source_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Make a page of each source file that a page links to."""
    for page in sorted(set().union(*copies_of(app.env).values())):
        name = page.removeprefix("source/")
        text = (Path(app.srcdir).resolve().parent / name).read_text("utf-8")
        try:
            lexer = get_lexer_for_filename(name)
        except ClassNotFound:
            lexer = TextLexer()
        body = highlight(text, lexer, HtmlFormatter(linenos="inline"))
        yield page, {"title": name, "body": f"<h1>{name}</h1>\n{body}"}, "page.html"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform and the pages."""
    app.add_config_value("code_host", "", "env")
    app.add_config_value("code_pages", {}, "env")
    app.add_transform(LinksOutOfTheDocs)
    app.connect("env-purge-doc", forget)
    app.connect("env-merge-info", merge)
    app.connect("html-collect-pages", source_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
