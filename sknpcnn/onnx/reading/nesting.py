"""Finds the layers in a graph: sequences, and branches that part at one tensor and join at another.

A tensor *dominates* another one if all that leads from the images to that leads through it. Where
several computed tensors are joined, they parted at the closest one that dominates all of them; what
lies between is a block of branches. So a graph is taken apart from its end.
"""

from typing import Any, NamedTuple

import numpy as np
from onnx import NodeProto

from sknpcnn.layers import (
    Add,
    Branches,
    Conv2D,
    Dense,
    GlobalAvgPool2D,
    Identity,
    MaxPool2D,
    ReLU,
    Residual,
    Scale,
    Sequential,
    Sigmoid,
    SqueezeExcite,
    ZeroPad2D,
)
from sknpcnn.onnx.reading.functions import MAX_NODES, recognize
from sknpcnn.onnx.reading.model import attributes_of, described
from sknpcnn.onnx.reading.pieces import Piece
from sknpcnn.onnx.reading.tensors import Tensor
from sknpcnn.onnx.reading.translating import SUPPORTED
from sknpcnn.spec import MAX_DEPTH

Array = np.ndarray


class Made(NamedTuple):
    """How a tensor is made: by a node, from computed tensors."""

    node: NodeProto
    inputs: list[str]
    pieces: list[Piece]
    """What is done to the only input; nothing if there are several."""
    tensor: Tensor


class Nesting:
    """Takes a graph apart into nested sequences of layers."""

    def __init__(
        self, made: dict[str, Made], start: str, constants: dict[str, Array], lr_scale: float
    ) -> None:
        self.made = made
        self.constants = constants
        self.lr_scale = lr_scale
        self.taken: set[str] = set()
        self.depth = {start: 0}
        """How many tensors dominate each."""
        self.dominator = {start: start}
        for name, how in made.items():
            closest = how.inputs[0]
            for other in how.inputs[1:]:
                closest = self._common(closest, other)
            self.dominator[name], self.depth[name] = closest, self.depth[closest] + 1

    def _common(self, one: str, other: str) -> str:
        """Return the closest tensor that dominates both, or is one of them."""
        while one != other:
            if self.depth[one] >= self.depth[other]:
                one = self.dominator[one]
            else:
                other = self.dominator[other]
        return one

    def between(self, start: str, end: str, level: int = 0) -> list[Piece]:
        """Return what is done between two tensors, of which the first dominates the second."""
        if level > MAX_DEPTH:
            raise ValueError(f"Its branches are nested deeper than {MAX_DEPTH} levels.")
        parts: list[list[Piece]] = []
        while end != start:
            how = self.made[end]
            if end in self.taken:
                raise ValueError(
                    f"{described(how.node)} leads into several branches that do not part there; "
                    "needed: branches that all part at one tensor and join at another."
                )
            self.taken.add(end)
            before = self.dominator[end]
            if len(how.inputs) == 1:
                parts.append(how.pieces)
            else:
                function = self._function(before, end)
                parts.append(function or self._joined(how, before, level))
            end = before
        return merged([piece for part in reversed(parts) for piece in part])

    def _function(self, start: str, end: str) -> list[Piece] | None:
        """Return the activation that lies between two tensors, if that is all."""
        names, stack = set(), [end]
        while stack:
            name = stack.pop()
            if name != start and name not in names:
                names.add(name)
                stack += self.made[name].inputs
            if len(names) > MAX_NODES:
                return None
        nodes = [how.node for name, how in self.made.items() if name in names]
        found = recognize(nodes, start, end, self.constants)
        if found is None:
            return None
        self.taken |= names
        (layer, factor), node = found, self.made[end].node
        pieces = [Piece(layer, {}, node)]
        if factor != 1:
            ones = np.ones(self.made[end].tensor.shape[-1])
            scale = {"gamma": factor * ones, "beta": 0 * ones}
            pieces.append(Piece(Scale(lr_scale=self.lr_scale), scale, node))
        return pieces

    def _joined(self, how: Made, start: str, level: int) -> list[Piece]:
        """Return the composite layer of branches that are joined by a node."""
        branches = [self.between(start, name, level + 1) for name in how.inputs]
        node = how.node
        if node.op_type in ("Add", "Sum"):
            return [_sum(branches, node)]
        if node.op_type == "Concat":
            layers = [_one(branch, node) for branch in branches]
            kind = Branches(_layers(layers))
            return [Piece(kind, {}, node, tuple([piece] for piece in layers))]
        gated = [branch for branch in branches if branch]
        if node.op_type == "Mul" and len(branches) == 2 and len(gated) == 1:
            found = _squeeze_excite(gated[0], node, self.lr_scale)
            if found is not None:
                return [found]
        raise ValueError(
            f"{described(node)} combines computed tensors in a way that is not supported; "
            "supported: sums, concatenation, and the gates of squeeze-and-excite."
        )


def join(node: NodeProto, tensors: list[Tensor]) -> Tensor:
    """Return the output of a node with several computed inputs."""
    first = tensors[0]
    if node.op_type != "Concat":
        shapes = [t.shape for t in tensors]
        largest = max(tensors, key=lambda t: (len(t.shape), *t.shape))
        gate = node.op_type == "Mul" and any(
            t.kind == "vector of one pixel" and t.shape == largest.shape[-1:] for t in tensors
        )
        if len(set(shapes)) > 1 and not gate:
            raise ValueError(f"{described(node)} combines tensors of the shapes {shapes}.")
        if not gate and any(not _same_order(t, first) for t in tensors):
            raise ValueError(f"{described(node)} combines vectors in different orders.")
        return largest
    given = attributes_of(node).get("axis")
    if type(given) is not int:
        raise ValueError(f"{described(node)} has axis={given!r}; needed: a number.")
    axis = given % len(first.model_shape)
    wanted = {"channels first": 1, "channels last": 3}.get(first.kind, 1)
    same = {(t.kind, t.shape[:-1]) for t in tensors}
    if axis != wanted or len(same) > 1 or first.kind in ("rows", "gray"):
        raise ValueError(f"{described(node)} joins {[t.shape for t in tensors]} along axis {axis}.")
    n = sum(t.shape[-1] for t in tensors)
    order = None
    if any(t.order is not None for t in tensors):
        starts = np.cumsum([0, *(t.shape[0] for t in tensors[:-1])])
        orders = [np.arange(t.shape[0]) if t.order is None else t.order for t in tensors]
        order = np.concatenate([o + s for o, s in zip(orders, starts, strict=True)])
    return Tensor(first.kind, (*first.shape[:-1], n), order)


def _same_order(one: Tensor, other: Tensor) -> bool:
    if one.order is None or other.order is None:
        return one.order is other.order
    return bool(np.array_equal(one.order, other.order))


def _one(pieces: list[Piece], node: NodeProto) -> Piece:
    """Return one layer for a branch."""
    if len(pieces) == 1:
        return pieces[0]
    if not pieces:
        return Piece(Identity(), {}, node)
    return Piece(Sequential(_layers(pieces)), {}, node, (pieces,))


def _layers(pieces: list[Piece]) -> list[Any]:
    check_supported(pieces)
    return [piece.layer for piece in pieces]


def check_supported(pieces: list[Piece]) -> None:
    """Raise an error that names the first node that is no layer."""
    for piece in pieces:
        if piece.layer is None or "fill" in piece.params:
            raise ValueError(
                f"{described(piece.node)} is not supported, or not at this place; supported "
                f"operators: {SUPPORTED}."
            )


def _sum(branches: list[list[Piece]], node: NodeProto) -> Piece:
    """Return a residual block, or the sum of more than two branches."""
    if len(branches) == 2 and any(branches):
        through, around = sorted(branches, key=len, reverse=True)
        shortcut = _one(around, node) if around else None
        layer = Residual(_layers(through), None if shortcut is None else shortcut.layer)
        return Piece(layer, {}, node, (through, [] if shortcut is None else [shortcut]))
    pieces = [_one(branch, node) for branch in branches]
    return Piece(Add(_layers(pieces)), {}, node, tuple([piece] for piece in pieces))


def _squeeze_excite(gate: list[Piece], node: NodeProto, lr_scale: float) -> Piece | None:
    """Return squeeze-and-excite, if a branch computes its gates."""
    if len(gate) != 5:
        return None
    _, squeeze, _, excite, gates = gate
    kinds = tuple(type(piece.layer) for piece in gate[:4])
    hard = gates.layer is None and _is_hard_sigmoid(gates.node)
    if kinds != (GlobalAvgPool2D, Dense, ReLU, Dense) or not (hard or gates.layer == Sigmoid()):
        return None
    units = squeeze.params["W"].shape[1]
    layer = SqueezeExcite(units=units, hard=hard, lr_scale=lr_scale)
    params = {}
    for name, dense in (("squeeze", squeeze), ("excite", excite)):
        W = dense.params["W"]
        params[f"W_{name}"] = W
        params[f"b_{name}"] = dense.params.get("b", np.zeros(W.shape[1], W.dtype))
    return Piece(layer, params, node)


def _is_hard_sigmoid(node: NodeProto) -> bool:
    given = attributes_of(node)
    alpha, beta = given.get("alpha", 0.2), given.get("beta", 0.5)
    return node.op_type == "HardSigmoid" and abs(alpha - 1 / 6) < 1e-6 and beta == 0.5


def merged(pieces: list[Piece]) -> list[Piece]:
    """Merge pieces that are one layer here."""
    result: list[Piece] = []
    for piece in pieces:
        together = _merge(result[-1], piece) if result else None
        if together is not None:
            result[-1] = together
        else:
            result.append(piece)
    return [piece for piece in result if not _does_nothing(piece)]


def _merge(one: Piece, other: Piece) -> Piece | None:
    """Return one piece for two, if there is one: with a bias, a factor, or a border."""
    a, b = one.layer, other.layer
    if type(b) is Scale and type(a) is Scale and a.position == b.position:
        gamma, beta = other.params["gamma"], other.params["beta"]
        params = {
            "gamma": one.params["gamma"] * gamma,
            "beta": one.params["beta"] * gamma + beta,
        }
        return one._replace(params=params)
    unbiased = isinstance(a, Conv2D | Dense) and a.bias is False
    if a is not None and unbiased and type(b) is Scale and (other.params["gamma"] == 1).all():
        layer = a.replace(bias="position" if b.position else True)
        return one._replace(layer=layer, params={**one.params, "b": other.params["beta"]})
    if isinstance(a, ZeroPad2D) and "fill" in one.params and isinstance(b, MaxPool2D):
        return other._replace(layer=b.replace(padding=a.border)) if b.padding == 0 else None
    return None


def _does_nothing(piece: Piece) -> bool:
    if type(piece.layer) is not Scale:
        return False
    gamma, beta = piece.params["gamma"], piece.params["beta"]
    return bool(np.abs(gamma - 1).max() < 1e-6 and not beta.any())
