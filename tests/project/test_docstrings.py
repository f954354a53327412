"""Every public name is documented, with an example; pytest runs the examples as doctests.

Docstrings are read with ``inspect.getdoc``: from Python 3.13 on they are dedented already.
"""

import inspect
from dataclasses import fields, is_dataclass
from importlib.util import find_spec

import pytest

import sknpcnn
from sknpcnn import (
    architectures,
    augmentation,
    callbacks,
    datasets,
    display,
    layers,
    lite,
    losses,
    optimizers,
    schedules,
    testing,
    weights,
)

MODULES = [sknpcnn, architectures, augmentation, callbacks, datasets, display, layers]
MODULES += [lite, losses, optimizers, schedules, weights]
if find_spec("onnx") is not None:
    MODULES.append(sknpcnn.onnx)
PUBLIC = [
    getattr(module, name)
    for module in MODULES
    for name in module.__all__
    if getattr(module, name).__module__.startswith("sknpcnn")  # no names for NumPy's types
] + [testing.check_layer, testing.check_loss]


@pytest.mark.parametrize("thing", PUBLIC, ids=lambda thing: thing.__name__)
def test_public_name_has_a_docstring_with_an_example(thing):
    assert "Examples\n--------\n>>> " in inspect.getdoc(thing)


@pytest.mark.parametrize("thing", PUBLIC, ids=lambda thing: thing.__name__)
def test_docstring_names_every_parameter(thing):
    if is_dataclass(thing):
        if not issubclass(thing, sknpcnn.spec.Spec):
            pytest.skip("its fields are documented one by one")
        names = [field.name for field in fields(thing)]
    elif thing is layers.Context:
        pytest.skip("nobody makes one")
    else:
        names = [name for name in inspect.signature(thing).parameters if name != "self"]
        names = [] if thing is lite.Predictor else names  # made by a function
    text = inspect.getdoc(thing)
    listed = [line for line in text.splitlines() if " : " in line]
    documented = {n.strip() for line in listed for n in line.split(" : ")[0].split(",")}
    assert set(names) <= documented


ESTIMATORS = [sknpcnn.NumpyCNNClassifier, sknpcnn.NumpyCNNRegressor]
DISPLAYS = [getattr(display, name) for name in display.__all__]


@pytest.mark.parametrize("kind", ESTIMATORS + DISPLAYS)
def test_methods_document_parameters_and_results(kind):
    for name, method in inspect.getmembers(kind, inspect.isroutine):
        if name.startswith("_") or not method.__module__.startswith("sknpcnn."):
            continue
        text = inspect.getdoc(method)
        assert "Returns\n-------" in text, name
        for parameter in inspect.signature(method).parameters:
            assert parameter == "self" or parameter in text, (name, parameter)
