"""Links the names in the tables of ``api.md`` to their pages, which only the site has."""

import inspect
import re
from typing import Any

import api_pages
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

from sknpcnn import NumpyCNNClassifier

FROM_SKLEARN = {"fit_transform", "get_params", "set_callbacks", "set_params"}
"""Methods of scikit-learn that users of these classes call themselves."""
NAME = re.compile(r"\w+")


def target_of(text: str, module: str, known: dict[str, Any]) -> str | None:
    """Return the full name of what ``text``, such as ``Conv2D(filters)``, is about."""
    match = NAME.match(text)
    if match is None:
        return None
    name = match[0]
    if f"{module}.{name}" in known:
        return f"{module}.{name}"
    method = getattr(NumpyCNNClassifier, name, None)
    if module == "sknpcnn" and callable(method) and is_documented(name, method):
        return f"sknpcnn.NumpyCNNClassifier.{name}"
    return None


def is_documented(name: str, member: Any) -> bool:
    """Return whether the page of a class shows a member: not what scikit-learn documents."""
    home = getattr(getattr(member, "fget", member), "__module__", "sknpcnn")  # fget of a property
    return name in FROM_SKLEARN or (home or "").startswith("sknpcnn")


class NamesAreLinks(SphinxTransform):
    """Make links of the inline code in the tables of the page."""

    default_priority = 400

    def apply(self) -> None:
        """Look at every table in a section whose title is the name of a module."""
        if self.env.docname != "api":
            return
        known, modules = api_pages.objects(), api_pages.public_modules()
        for section in self.document.findall(nodes.section):
            module = section[0].astext()
            if module not in modules:
                continue
            for table in section.findall(nodes.table):
                for literal in list(table.findall(nodes.literal)):
                    target = target_of(literal.astext(), module, known)
                    if target is not None:
                        self.link(literal, target)

    def link(self, literal: nodes.literal, target: str) -> None:
        """Put the text into a reference to the object."""
        reference = addnodes.pending_xref(
            "",
            literal.deepcopy(),
            refdomain="py",
            reftype="obj",
            reftarget=target,
            refexplicit=True,
            refwarn=True,
        )
        literal.replace_self(reference)


def skip(
    app: Sphinx, kind: str, name: str, member: Any, skipped: bool, options: Any
) -> bool | None:
    """Leave out what is not documented here; what else is left out is autodoc's decision."""
    return None if is_documented(name, member) else True


def signature(
    app: Sphinx, kind: str, name: str, member: Any, options: Any, arguments: str, result: str
) -> tuple[str, str] | None:
    """Show the parameters of a class: some check in ``__new__`` that keywords are known."""
    if kind != "class" or "**" not in (arguments or ""):
        return None
    parameters = [*inspect.signature(member.__init__).parameters.values()][1:]  # without self
    plain = inspect.Signature([p.replace(annotation=p.empty) for p in parameters])
    return str(plain), result


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform."""
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-signature", signature)
    app.add_transform(NamesAreLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
