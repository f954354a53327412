"""Packs a model and all that it takes to predict into one archive that Python can import from.

These are the modules of this package that ``sknpcnn.lite`` imports, without their docstrings, and
the model file. Python imports modules from such an archive as from a folder.
"""

import ast
import zipfile
from importlib.util import find_spec
from io import BytesIO
from os import PathLike, fspath
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sknpcnn._storage import files, storage

ENTRY = "sknpcnn.lite"
PREDICTOR = '''"""Predicts with the model in this archive, and NumPy alone.

    import sys
    sys.path.insert(0, "{archive}")
    import predictor
    predictor.predict(images)
"""

from io import BytesIO
from os.path import dirname, join

from sknpcnn import lite

_model = lite.load(BytesIO(__loader__.get_data(join(dirname(__file__), "model.npz"))))
predict = _model.predict
image_shape_ = _model.image_shape_
if hasattr(_model, "classes_"):
    predict_proba, classes_ = _model.predict_proba, _model.classes_
'''


def write_standalone(model: str | PathLike[str], archive: str | PathLike[str]) -> None:
    """Write an archive that predicts with a model file, and replace one that there is."""
    target = Path(fspath(archive))
    content = BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for name, is_package, source in modules():
            path = name.replace(".", "/") + ("/__init__.py" if is_package else ".py")
            packed.writestr(_member(path), without_docstrings(source))
        packed.writestr(_member("predictor.py"), PREDICTOR.format(archive=target.name))
        packed.writestr(_member("model.npz"), _to_predict(Path(fspath(model))), zipfile.ZIP_STORED)
    with files.atomic_write(target) as file:
        file.write(content.getvalue())


def _to_predict(model: Path) -> bytes:
    """Return a model file without what it takes to resume training."""
    values, arrays = storage.read(model)
    values.pop("progress", None)
    kept = {name: array for name, array in arrays.items() if not name.startswith("memory.")}
    with TemporaryDirectory() as folder:
        file = Path(folder) / "model.npz"
        storage.write(file, values, kept)
        return file.read_bytes()


def _member(path: str) -> zipfile.ZipInfo:
    """Describe a file without a date: the same model makes the same bytes."""
    member = zipfile.ZipInfo(path)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = 0o644 << 16
    return member


def modules() -> list[tuple[str, bool, str]]:
    """List the modules that predicting imports: their names, whether they are packages, sources."""
    found: dict[str, tuple[str, bool, str]] = {}
    waiting = [ENTRY]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        spec = find_spec(name)
        if spec is None or spec.origin is None:  # a name in a module, not a module
            continue
        source = spec.loader.get_data(spec.origin).decode()  # type: ignore[union-attr]
        is_package = spec.submodule_search_locations is not None
        found[name] = name, is_package, source
        waiting += _imported(ast.parse(source))
        if "." in name:
            waiting.append(name.rpartition(".")[0])
    return sorted(found.values())


def _imported(tree: ast.Module) -> list[str]:
    """List what a module of this package imports of it at once."""
    names = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sknpcnn"):
            names += [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in names if _is_module(name)]


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is no package
        return False


class _Docstrings(ast.NodeTransformer):
    """Removes docstrings, those of attributes included."""

    def visit_Expr(self, node: ast.Expr) -> Any:
        value = node.value
        return None if isinstance(value, ast.Constant) and isinstance(value.value, str) else node


def without_docstrings(source: str) -> str:
    """Return a module without its docstrings and comments."""
    tree = _Docstrings().visit(ast.parse(source))
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.body:
            node.body = [ast.Pass()]
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"
