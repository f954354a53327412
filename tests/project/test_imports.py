"""The order of the rooms: imports point one way, and every file fits on a few pages."""

import ast
import importlib.util
import pickle
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import sknpcnn
from tests.processes import python, run_python

pytestmark = pytest.mark.thread_unsafe(reason="two threads that parse disturb each other in 3.11")

HOME = Path(sknpcnn.__file__).parent
FILES = sorted(HOME.rglob("*.py"))
DOCS = HOME.parent / "docs"
LINES = 330

# Each room may import from those above it in this list, and from itself.
ROOMS = [
    {"_kernels"},
    {"_values"},
    {"spec", "losses", "version"},
    {"optimizers", "schedules", "augmentation"},
    {"layers"},
    {"architectures", "_storage"},
    {"_engine"},
    {"_network"},
    {"_training"},
    {"_estimator"},
    {"classifier", "regressor"},
    {"features", "saving", "sknpcnn"},
    {"callbacks", "datasets", "display", "testing", "onnx", "weights", "lite"},
    {"_commands", "__main__"},
]

KNOW_SCIKIT_LEARN = {
    *("_training", "_estimator", "classifier", "regressor", "features", "saving"),
    *("callbacks", "datasets", "display", "testing", "onnx", "weights", "_commands"),
}


def loaded(script):
    """The module in a script of docs, which is no package."""
    spec = importlib.util.spec_from_file_location(script, DOCS / f"{script}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


draw_rooms = loaded("draw_rooms")
SOURCES, MODULES, imported = draw_rooms.SOURCES, draw_rooms.MODULES, draw_rooms.imported


class AtOnce(ast.NodeTransformer):
    """Leaves of a file what runs when it is imported."""

    def visit(self, node):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return None
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return [self.visit(statement) for statement in node.orelse]
        return self.generic_visit(node)


def at_once(source):
    return AtOnce().visit(ast.parse(source))


def room(module):
    """The number of the room that a module is in."""
    name = module.removeprefix("sknpcnn.").split(".")[0]
    found = [i for i, names in enumerate(ROOMS) if name in names]
    assert len(found) == 1, f"{module} has no room yet: give it a place in ROOMS"
    return found[0]


CORE = [module for module in MODULES if room(module) <= room("_network")]


def arrows_back(module, tree):
    return [name for name in imported(tree) & set(MODULES) if room(name) > room(module)]


def lines_of_code(source):
    """Count the lines that are neither blank nor part of a docstring."""
    lines = {i for i, line in enumerate(source.splitlines(), start=1) if line.strip()}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            lines -= set(range(node.lineno, node.end_lineno + 1))
    return len(lines)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module):
    back = arrows_back(module, MODULES[module])
    assert not back, f"{module} imports {back}, which lie nearer to the user"


def test_picture_of_the_rooms_is_drawn_from_the_code():
    drawn = run_python(DOCS / "draw_rooms.py")
    assert drawn.count("-->") >= len(ROOMS) - 3
    assert f"```mermaid\n{drawn}```" in (DOCS / "design.md").read_text("utf-8")


def test_no_modules_import_each_other():
    graph = {module: imported(tree) & set(MODULES) for module, tree in MODULES.items()}
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize(
    "line",
    [
        "from sknpcnn._network import network",
        "import sknpcnn._network.network",
        "from sknpcnn._network.network import Network",
        "def late():\n    from sknpcnn import NumpyCNNClassifier",
        "import sknpcnn",
    ],
)
def test_arrow_that_points_back_is_seen(line):
    assert arrows_back("sknpcnn.layers.conv", ast.parse(line))
    assert not arrows_back("sknpcnn.testing", ast.parse(line))


@pytest.mark.parametrize("module", MODULES)
def test_only_the_rooms_near_the_user_know_scikit_learn(module):
    libraries = {name.split(".")[0] for name in imported(MODULES[module])}
    name = module.removeprefix("sknpcnn.")
    assert "sklearn" not in libraries or name.split(".")[0] in KNOW_SCIKIT_LEARN


def private_imports(tree):
    """Names of scikit-learn that are private, or in a private module, and its new callbacks."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "sklearn":
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if "._" in name or name.startswith("sklearn.callback.")}


@pytest.mark.parametrize("module", MODULES)
def test_private_names_of_scikit_learn_are_imported_in_one_module(module):
    expected = module == "sknpcnn._estimator.private"
    assert bool(private_imports(MODULES[module])) == expected


def not_alone(source):
    """What a file of the core imports at once beside NumPy, the standard library and the core."""
    alone = {"numpy", *sys.stdlib_module_names}
    found = imported(at_once(source))
    return {name for name in found - set(CORE) if name.split(".")[0] not in alone}


@pytest.mark.parametrize("module", [*CORE, "sknpcnn"])
def test_the_core_imports_numpy_alone(module):
    assert not not_alone(SOURCES[module])


@pytest.mark.parametrize(
    "line",
    [
        "from scipy.special import erf",
        "import sklearn",
        "from sknpcnn._training import loop",
        "class Late:\n    import joblib",
        "try:\n    import joblib\nexcept ImportError:\n    pass",
        "if TYPE_CHECKING:\n    import numpy\nelse:\n    import pandas",
    ],
)
def test_import_of_something_else_in_the_core_is_seen(line):
    assert not_alone(line)


@pytest.mark.parametrize(
    "line",
    [
        "import numpy as np",
        "from sknpcnn._kernels import memory",
        "def late():\n    from scipy.special import erf",
        "class Late:\n    async def late(self):\n        import joblib",
        "if TYPE_CHECKING:\n    import pandas",
    ],
)
def test_imports_that_come_late_are_no_concern_of_the_core(line):
    assert not not_alone(line)


def test_the_package_imports_its_names_when_they_are_asked_for():
    program = """
import sys, sknpcnn
assert not {"numpy", "sklearn"} & set(sys.modules)
assert sknpcnn.layers.Conv2D(4)
assert "sklearn" not in sys.modules
assert set(sknpcnn.__all__) <= set(dir(sknpcnn))
for name in dir(sknpcnn):
    getattr(sknpcnn, name)
    assert name in vars(sknpcnn)
"""
    python(program)


def test_names_of_the_package_are_what_they_are_in_their_modules():
    from sknpcnn import NumpyCNNClassifier, classifier, load, saving

    assert sknpcnn.NumpyCNNClassifier is NumpyCNNClassifier is classifier.NumpyCNNClassifier
    assert load is saving.load
    assert pickle.loads(pickle.dumps(NumpyCNNClassifier)) is NumpyCNNClassifier
    everything = {}
    exec("from sknpcnn import *", everything)
    assert set(sknpcnn.__all__) <= set(everything)


def test_a_name_that_the_package_does_not_have_is_an_error():
    with pytest.raises(AttributeError, match="module 'sknpcnn' has no attribute 'Classifier'"):
        sknpcnn.Classifier()
    with pytest.raises(ImportError, match="Classifier"):
        exec("from sknpcnn import Classifier")


def test_importing_the_classifier_imports_nothing_that_is_optional():
    program = "import sys; from sknpcnn import NumpyCNNClassifier; print(*sys.modules)"
    loaded = set(python(program).split())
    assert "sknpcnn.classifier" in loaded
    assert not loaded & {"matplotlib", "onnx", "onnxruntime", "torch"}


def test_there_is_no_drawer_for_everything():
    names = {path.stem for path in FILES}
    assert not names & {"utils", "_utils", "util", "helpers", "misc", "common"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOME)))
def test_every_file_can_be_read_in_one_sitting(path):
    assert lines_of_code(path.read_text("utf-8")) <= LINES


def test_lines_of_docstrings_and_blank_lines_are_not_counted():
    assert lines_of_code('"""One\n\ntwo."""\n\nx = 1\n\n\ndef f():\n    """Three."""\n') == 2


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_why_it_exists(module):
    assert ast.get_docstring(MODULES[module])
