"""Layers side by side: several branches read the same input; their outputs are joined or added."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sknpcnn._values.brief import brief
from sknpcnn._values.checks import plain_items
from sknpcnn.layers.base import Array, Arrays, Context, Layer, Shape
from sknpcnn.layers.compose import Sequential
from sknpcnn.layers.forks import add
from sknpcnn.layers.steps import Steps, shapes
from sknpcnn.spec import check_nesting, check_reserved, named


@dataclass(frozen=True, repr=False)
class Branches(Layer):
    """Put the outputs of several branches side by side: the channels of one after the other's.

    Parameters
    ----------
    layers : list of branches, or of (name, branch) pairs
        Each branch is a layer, or a list of layers. All read the same input, and their outputs must
        have the same height and width.

    Examples
    --------
    >>> from sknpcnn.layers import Branches, Conv2D, ReLU
    >>> Branches([Conv2D(8, 1), [Conv2D(4, 1), ReLU(), Conv2D(8)]]).output_shape((7, 7, 16))
    (7, 7, 16)
    """

    layers: Any

    def __post_init__(self) -> None:
        _keep_branches(self)

    @property
    def branches(self) -> tuple[Steps, ...]:
        return tuple((step,) for step in self.layers)

    def output_shape(self, shape: Shape) -> Shape:
        found = _output_shapes(self, shape)
        if len({each[:-1] for each in found}) > 1:
            raise ValueError(
                f"Branches: the branches turn {shape} into {_listed(found)}; needed: the same "
                "height and width. Use the same strides and pooling in all of them."
            )
        return *found[0][:-1], sum(each[-1] for each in found)

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        outs, caches = _run(params, x, len(self.layers), ctx)
        channels = [out.shape[-1] for out in outs]
        y = ctx.output((*outs[0].shape[:-1], sum(channels)), x.dtype)
        for out, part in zip(outs, _ranges(channels), strict=True):
            _put(out, y[..., part], ctx)
        return y, (caches, channels)

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        caches, channels = cache
        parts = [dy[..., part] for part in _ranges(channels)]
        return _input_gradient(params, caches, parts, grads, ctx)


@dataclass(frozen=True, repr=False)
class Add(Layer):
    """Add the outputs of several branches; ``Residual`` is the case of two, one of them the input.

    Parameters
    ----------
    layers : list of branches, or of (name, branch) pairs
        Each branch is a layer, or a list of layers. All read the same input, and their outputs must
        have the same shape.

    Examples
    --------
    >>> from sknpcnn.layers import Add, Conv2D, Identity
    >>> Add([Identity(), Conv2D(16, 3), Conv2D(16, 5)]).output_shape((7, 7, 16))
    (7, 7, 16)
    """

    layers: Any

    def __post_init__(self) -> None:
        _keep_branches(self)

    @property
    def branches(self) -> tuple[Steps, ...]:
        return tuple((step,) for step in self.layers)

    def output_shape(self, shape: Shape) -> Shape:
        found = _output_shapes(self, shape)
        if len(set(found)) > 1:
            raise ValueError(
                f"Add: the branches turn {shape} into {_listed(found)}; needed: the same shape. "
                "Use the same number of filters, strides and pooling in all of them."
            )
        return found[0]

    def forward(self, params: Arrays, x: Array, ctx: Context) -> tuple[Array, Any]:
        outs, caches = _run(params, x, len(self.layers), ctx)
        return _sum(outs, ctx), caches

    def backward(
        self, params: Arrays, cache: Any, dy: Array, grads: Arrays, ctx: Context
    ) -> Array | None:
        return _input_gradient(params, cache, [dy] * len(cache), grads, ctx)


def _keep_branches(layer: Branches | Add) -> None:
    """Name the branches, each of which becomes one layer; raise if they are invalid."""
    kind = type(layer).__name__
    items = plain_items(layer.layers)
    steps = layer.layers if items is None else [_as_layer(item) for item in items]
    object.__setattr__(layer, "layers", named(steps, f"{kind}: layers", Layer))
    if not layer.layers:
        raise ValueError(f"{kind}: layers={brief(items)}; needed: at least one branch.")
    check_reserved(dict(layer.layers), ("layers",), f"{kind}: layers")
    check_nesting(layer, f"{kind}: layers")


def _as_layer(item: Any) -> Any:
    """Turn a list of layers, named or not, into a Sequential."""
    items = plain_items(item)
    if items is None:
        return item
    if len(items) == 2 and isinstance(items[0], str):
        return items[0], _as_layer(items[1])
    return Sequential(items)


def _output_shapes(layer: Branches | Add, shape: Shape) -> list[Shape]:
    return [shapes(steps, shape)[-1] for steps in layer.branches]


def _listed(found: list[Shape]) -> str:
    return ", ".join(map(str, found[:-1])) + f" and {found[-1]}"


def _ranges(channels: list[int]) -> Iterator[slice]:
    """Iterate over the channels of each branch in the joined output."""
    first = 0
    for n in channels:
        yield slice(first, first + n)
        first += n


def _run(params: Arrays, x: Array, n: int, ctx: Context) -> tuple[list[Array], list[Any]]:
    """Run all branches; the layers in one may use the memory for what the composite returns."""
    results = [ctx.forward(params, x, branch=i) for i in range(n)]
    return [out for out, _ in results], [cache for _, cache in results]


def _input_gradient(
    params: Arrays, caches: list[Any], parts: list[Array], grads: Arrays, ctx: Context
) -> Array | None:
    """Run the backward pass of all branches, and add up the gradients of their input."""
    found = [
        ctx.backward(params, cache, part, grads, branch=i)
        for i, (cache, part) in enumerate(zip(caches, parts, strict=True))
    ]
    slopes = [dx for dx in found if dx is not None]
    return _sum(slopes, ctx) if ctx.needs_dx and len(slopes) == len(found) else None


def _sum(arrays: list[Array], ctx: Context) -> Array:
    if len(arrays) == 1:
        return arrays[0]
    y = add(arrays[0], arrays[1], ctx)
    for more in arrays[2:]:
        _put(more, y, ctx, on_top=True)
    return y


def _put(values: Array, target: Array, ctx: Context, on_top: bool = False) -> None:
    """Copy or add values by rows; those of whole batches in parallel."""
    parts = ctx.tiles(len(values), values[0].size)

    def put_part(i: int, scratch: Any) -> None:
        part = slice(*parts[i])
        if on_top:
            target[part] += values[part]
        else:
            target[part] = values[part]

    ctx.map(put_part, len(parts))
