"""The tests themselves: what is private is looked at in its own room, and nowhere else."""

import ast
from pathlib import Path

import pytest

import sknpcnn

TESTS = Path(__file__).parents[1]
PACKAGE = Path(sknpcnn.__file__).parent
FOREIGN = {"_exit", "_getframe", "_shutdown", "_repr_html_", "_get_params_html"}
"""Names of Python, joblib and scikit-learn, for which there is no public one."""


def private_accesses(path):
    """All attributes with a leading underscore that are read from anything but ``self``."""
    attributes = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute))
    for node in attributes:
        private = node.attr.startswith("_") and not node.attr.startswith("__")
        if private and node.attr not in FOREIGN and ast.unparse(node.value) not in {"self", "cls"}:
            yield node.attr


def source_of_room(path):
    """The code that the tests in a folder are about."""
    room = path.parent.name
    homes = [PACKAGE / room, PACKAGE / f"_{room}"]
    return "".join(file.read_text() for home in homes for file in home.glob("*.py"))


@pytest.mark.parametrize(
    "path", sorted(TESTS.rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS))
)
def test_private_names_are_used_only_in_the_room_that_owns_them(path):
    source = source_of_room(path)
    strangers = [name for name in private_accesses(path) if name not in source]
    assert not strangers, f"private names of other rooms: {strangers}"


def test_a_stranger_is_found(tmp_path):
    file = tmp_path / "test_something.py"
    file.write_text("def test(clf):\n    assert clf._theta is self._own\n")
    assert list(private_accesses(file)) == ["_theta"]
    assert "_theta" not in source_of_room(file)
    assert "_theta" in source_of_room(TESTS / "estimator" / "test_fitted.py")
