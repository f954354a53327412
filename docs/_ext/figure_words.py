"""Describes figures of notebooks that do not describe themselves, for those who cannot see them.

A cell can have a description: ``mystnb: {image: {alt: ...}}`` among its options. Without one, HTML
would get the name of a file. Instead it is said where the figure is, and that the code draws it.
"""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform


def describe(document: nodes.document) -> None:
    """Give every image among the outputs of cells a description, unless it has one."""
    for output in document.findall(nodes.container):
        if "cell_output" not in output["classes"]:
            continue
        for image in output.findall(nodes.image):
            if not image.get("alt"):
                image["alt"] = f"{title_above(image)}: what the code above draws"


def title_above(node: nodes.Node) -> str:
    """Return the title of the section that a node is in."""
    while not isinstance(node, nodes.section):
        if node.parent is None:
            return "Figure"
        node = node.parent
    return node[0].astext()


class Figures(SphinxTransform):
    """Describe the figures of a page."""

    default_priority = 600

    def apply(self) -> None:
        """Look at all outputs."""
        describe(self.document)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform."""
    app.add_transform(Figures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
