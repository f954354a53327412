"""Describes the network of an estimator, fitted or not, row by row, as the diagram shows it."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sklearn.frozen import FrozenEstimator

from sknpcnn._estimator import blocks, fitted
from sknpcnn._estimator.layout import Image
from sknpcnn._estimator.protocol import Estimator
from sknpcnn._estimator.writing import arguments, written
from sknpcnn._training import defaults
from sknpcnn.layers import Dense, Dropout, Flatten, GlobalAvgPool2D
from sknpcnn.layers.base import Layer, Shape
from sknpcnn.layers.steps import Steps
from sknpcnn.spec import Spec

LARGE: Image = 2**30, 2**30, 1
"""An image with room for any blocks, where it is not known yet how large images are."""


@dataclass(frozen=True)
class Row:
    """One layer, and the layers in it; numbers are None where the shape of its input is unknown."""

    name: str
    kind: str = ""
    arguments: str = ""
    note: str = ""
    shape: Shape | None = None
    parameters: int | None = None
    multiply_adds: int | None = None
    branches: tuple[tuple["Row", ...], ...] = ()

    def __len__(self) -> int:
        return 1 + sum(len(row) for branch in self.branches for row in branch)


def outline(estimator: Any) -> list[Row]:
    """Return the rows of an estimator's network: as fitted, or as its parameters describe it."""
    estimator = estimator.estimator if isinstance(estimator, FrozenEstimator) else estimator
    if hasattr(estimator, "_theta"):
        network = fitted.network_of(fitted.snapshot(estimator))
        return rows(network.steps[1:], network.image)
    params = estimator.get_params(deep=False)
    return [*_rows_before_fit(params), _output(estimator)]


def rows(steps: Steps, shape: Shape | None) -> list[Row]:
    """Return a row for each layer; with shapes, if that of the input is known."""
    found = []
    for name, layer in steps:
        after = None if shape is None else layer.output_shape(shape)
        found.append(_row(name, layer, shape, after))
        shape = after
    return found


def _row(name: str, layer: Layer, shape: Shape | None, after: Shape | None) -> Row:
    branches = tuple(tuple(rows(steps, shape)) for steps in layer.branches)
    known = {} if shape is None else layer.parameters(shape)
    if not branches and sum(p.decay for p in known.values()) > 1:  # SqueezeExcite: layers in one
        branches = (tuple(Row(key, "array", "", "", p.shape, p.size) for key, p in known.items()),)
    return Row(
        name,
        type(layer).__name__,
        _arguments(layer),
        "" if len(branches) < 2 else f"{len(branches)} branches",
        after,
        None if shape is None else sum(p.size for p in known.values()),
        None if shape is None else layer.multiply_adds(shape),
        branches,
    )


def _arguments(layer: Layer) -> str:
    if type(layer).__repr__ is not Spec.__repr__:  # of the user
        return f": {written(layer)}"
    given = arguments(layer, nested=False)
    return f"({', '.join(given)})" if given or not layer.branches else ""


def _output(estimator: Estimator) -> Row:
    each = "class" if "classes" in estimator._targets else "value to predict"
    return Row("output", Dense.__name__, note=f"a unit for each {each}")


def _rows_before_fit(params: Mapping[str, Any]) -> list[Row]:
    with suppress(TypeError, ValueError):  # for what does not fit, or is not given
        height, width, *channels = params["image_shape"]
        image = height, width, *(channels or [1])
        chosen = blocks.choose_architecture(params, image, table=False)
        return rows(blocks.build_layers(_resolved(params, chosen), image), image)
    if params["layers"] is not None:
        return rows(blocks.build_layers(params, LARGE), None)
    return list(_rows_of_blocks(params))


def _resolved(params: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    return {k: chosen[k] if k in chosen and blocks.is_auto(v) else v for k, v in params.items()}


NO_BLOCKS = {"conv_filters": (), "kernel_size": 3, "pool_size": 2, "padding": 0, "residual": False}
"""Parameters of blocks that do not depend on how many there are."""


def _rows_of_blocks(params: Mapping[str, Any]) -> Iterator[Row]:
    """Iterate over the rows of blocks for images of unknown size: "auto" stays "auto"."""
    automatic = blocks.is_auto(params["conv_filters"])
    filters = [] if automatic else blocks.read_sizes("conv_filters", params["conv_filters"])
    hidden = () if automatic else defaults.hidden_layers(len(filters))
    chosen = {"residual": False, "global_pooling": False, "hidden_layer_sizes": hidden}
    resolved = _resolved(params, chosen)
    pooling = params["global_pooling"]
    if not automatic and (not blocks.is_auto(pooling) or not filters):
        yield from rows(blocks.build_layers(resolved, LARGE), None)
        return
    resolved |= {"global_pooling": False, "dropout": 0}  # where dropout is depends on the pooling
    if automatic:
        resolved |= NO_BLOCKS
        yield _undecided("conv_filters", "as many blocks as the image has room for")
    for row in rows(blocks.build_layers(resolved, LARGE), None):
        if row.kind == Flatten.__name__ and blocks.is_auto(pooling):
            yield _undecided("global_pooling", "for images of more than 32 pixels")
        elif row.kind == Flatten.__name__ and pooling:
            yield Row("globalavgpool2d_1", GlobalAvgPool2D.__name__, "()")
        else:
            yield row
    if automatic and blocks.is_auto(params["hidden_layer_sizes"]):
        yield _undecided("hidden_layer_sizes", "dense layers only for a table")
    if params["dropout"]:
        rate = f"({written(params['dropout'])})"
        yield Row("dropout", Dropout.__name__, rate, "after blocks or pooling, and dense layers")


def _undecided(parameter: str, note: str) -> Row:
    return Row(parameter, '"auto"', note=note)
