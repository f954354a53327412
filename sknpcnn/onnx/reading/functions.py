"""Recognizes activations that a model spells out, by what they compute.

``x * sigmoid(x)``, or ``x / 2 * (1 + erf(x / sqrt(2)))``: there are many ways to write such a
function in nodes, and they are all the same function of one number. So it is evaluated, and
compared with what our layers compute.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import NodeProto
from scipy.special import erf, expit

from sknpcnn.layers import GELU, HardSwish, Layer, Sigmoid, SiLU, Softplus, Tanh
from sknpcnn.onnx.reading.model import attributes_of

Array = np.ndarray

POINTS = np.linspace(-9, 9, 181)
TOLERANCE = 1e-5
MAX_NODES = 24


def _clip(x: Array, *limits: Array, **named: float) -> Array:
    """Clip; the limits are inputs, or attributes in old models."""
    low, high = named.get("min", -np.inf), named.get("max", np.inf)
    given = [float(limit) for limit in limits]
    low, high = (*given, *(low, high)[len(given) :])
    clipped: Array = np.clip(x, low, high)
    return clipped


def _hard_sigmoid(x: Array, alpha: float = 0.2, beta: float = 0.5) -> Array:
    return np.clip(alpha * x + beta, 0, 1)


OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "Clip": _clip,
    "Div": np.divide,
    "Erf": erf,
    "Exp": np.exp,
    "Greater": np.greater,
    "HardSigmoid": _hard_sigmoid,
    "Identity": lambda x: x,
    "Less": np.less,
    "Log": np.log,
    "Max": np.maximum,
    "Min": np.minimum,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Pow": np.power,
    "Reciprocal": np.reciprocal,
    "Relu": lambda x: np.maximum(x, 0),
    "Sigmoid": expit,
    "Softplus": lambda x: np.logaddexp(x, 0),
    "Sqrt": np.sqrt,
    "Sub": np.subtract,
    "Tanh": np.tanh,
    "Where": np.where,
}
"""Operators that compute each element from one element of each input."""

KNOWN: list[tuple[Layer, Array]] = [
    (SiLU(), POINTS * expit(POINTS)),
    (HardSwish(), POINTS * _hard_sigmoid(POINTS, 1 / 6)),
    (GELU(), POINTS / 2 * (1 + erf(POINTS / np.sqrt(2)))),
    (
        GELU(approximate=True),
        POINTS / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (POINTS + 0.044715 * POINTS**3))),
    ),
    (Softplus(), np.logaddexp(POINTS, 0)),
    (Sigmoid(), expit(POINTS)),
    (Tanh(), np.tanh(POINTS)),
]


def recognize(
    nodes: list[NodeProto], start: str, end: str, constants: dict[str, Array]
) -> tuple[Layer, float] | None:
    """Return the layer that nodes compute, and a factor; None if they compute something else."""
    found = _evaluate(nodes, start, end, constants)
    if found is None or not np.isfinite(found).all():
        return None
    for layer, values in KNOWN:
        factor = float(found[-1] / values[-1])
        if np.allclose(found, factor * values, rtol=TOLERANCE, atol=TOLERANCE * abs(factor)):
            return layer, 1.0 if abs(factor - 1) < TOLERANCE else factor
    return None


@np.errstate(all="ignore")
def _evaluate(
    nodes: list[NodeProto], start: str, end: str, constants: dict[str, Array]
) -> Array | None:
    """Compute what nodes make of many numbers; None if they do more than that."""
    values: dict[str, Array] = {start: POINTS}
    for node in nodes:
        inputs = []
        for name in node.input:
            constant = constants.get(name)
            if name in values:
                inputs.append(values[name])
            elif constant is not None and constant.size == 1:
                inputs.append(constant.ravel()[0].astype(np.float64))
            else:
                return None
        if node.op_type not in OPERATORS:
            return None
        try:
            values[node.output[0]] = OPERATORS[node.op_type](*inputs, **attributes_of(node))
        except (TypeError, ValueError):
            return None
    return values[end]
