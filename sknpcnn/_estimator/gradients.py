"""Gradients of losses and scores with respect to the images, or to the output of a layer."""

from collections.abc import Callable
from typing import Any

import numpy as np

from sknpcnn._estimator import fitted, inputs
from sknpcnn._estimator.protocol import Estimator
from sknpcnn._network.batches import Array, Rows
from sknpcnn._network.standard import warn_of_other_scale
from sknpcnn._values.arrays import to_numpy
from sknpcnn._values.brief import brief
from sknpcnn.losses import Loss

_Slope = Callable[[Array, slice], Array]
"""Computes the gradient with respect to the outputs, (n, outputs), of some rows."""


def input_gradient(estimator: Estimator, X: Any, y: Any, target: Any, layer: Any) -> Array:
    """Compute the gradient of the losses for ``y``, or of the scores of ``target``.

    It is one with respect to X, or to the output of a layer, of the same shape as these.
    """
    if y is not None and target is not None:
        raise ValueError(
            "Both y and target are given; needed: y for the gradient of the loss, or target for "
            "that of a score."
        )
    name = None if layer is None else fitted.find_layer(estimator, layer)
    rows = inputs.check_prediction_data(estimator, X, estimator.image_shape_)
    if y is None:
        slope = _of_score(estimator, target, len(rows))
    else:
        slope = _of_loss(estimator, y, len(rows))
    gradient = _compute(estimator, rows, slope, name, warn=True)
    return gradient.reshape(np.shape(to_numpy(X, "X"))) if layer is None else gradient


def score_gradient(estimator: Estimator, X: Array, target: Any, layer: str | None = None) -> Array:
    """Compute the gradient of scores for rows that have been checked, on any scale."""
    return _compute(estimator, X, _of_score(estimator, target, len(X)), layer)


def scores(estimator: Estimator, X: Array, target: Any) -> Array:
    """Compute the scores, (n,), whose gradient that is, but for a constant."""
    outputs = fitted.outputs_of(estimator, X, warn=False)
    slopes = _of_score(estimator, target, len(X))(outputs, slice(0, len(X)))
    found: Array = (outputs.astype(np.float64) * slopes).sum(axis=1)
    return found


@np.errstate(all="ignore")  # checked below
def _compute(
    estimator: Estimator, X: Array, slope: _Slope, layer: str | None, warn: bool = False
) -> Array:
    network, theta = fitted.network_of(estimator), estimator._theta
    standard = fitted.standard_of(estimator)
    rows = Rows(X, estimator.image_shape_, standard)
    batch_size = inputs.gradient_batch_size(network, theta.dtype)
    with fitted.engine_for(estimator, None) as engine:
        planned = network.gradient(layer)
        gradient, outputs = planned.compute(theta, rows, slope, engine, batch_size)
    inputs.check_no_overflow(outputs)
    finite = np.isfinite(gradient.reshape(len(X), -1)).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"The gradient for X[{np.argmin(finite)}] overflows in {theta.dtype}; needed: pixels, "
            "and a y of a regressor, on a scale that is far from the largest number of that type."
        )
    if warn and standard is not None:
        warn_of_other_scale(X, standard)
    return gradient


def _of_loss(estimator: Estimator, y: Any, n: int) -> _Slope:
    """Return the gradient of the loss of each sample."""
    loss = fitted.loss_of(estimator)
    if loss.targets == "classes":
        checked = inputs.check_labels(y, "y", caller=5)
    else:
        checked = inputs.check_y(y, "y", loss, caller=5)
    _check_length("y", checked, n)
    targets = fitted.target_of(estimator).encode(checked)

    def slope(outputs: Array, part: slice) -> Array:
        _, gradient = loss.compute(outputs, targets[part])
        return gradient

    return slope


def _of_score(estimator: Estimator, target: Any, n: int) -> _Slope:
    """Return the gradient of one score of each sample: what it is compared with has no effect.

    The score of one of two classes is the difference of the outputs, as in ``decision_function``.
    That of a regressor is in units of y, unless a link follows.
    """
    loss, known = fitted.loss_of(estimator), fitted.target_of(estimator)
    if loss.targets == "classes":
        chosen = None if target is None else _classes(estimator, target, n)
    else:
        chosen = _numbers(0 if target is None else target, known.n_outputs, n)
    own, other = np.ones(known.n_outputs), 0.0
    if loss.targets == "classes" and known.n_outputs == 2:
        other = -1.0
    elif loss.targets == "reals" and type(loss).link is Loss.link:
        own = np.ravel(estimator.target_scale_)

    def slope(outputs: Array, part: slice) -> Array:
        columns = outputs.argmax(axis=1) if chosen is None else chosen[part]
        dy = np.full_like(outputs, other)
        dy[np.arange(len(dy)), columns] = own[columns]
        return dy

    return slope


def _classes(estimator: Estimator, target: Any, n: int) -> Array:
    """Return the index of the class of each sample, given one label for all or one for each."""
    labels = [target] * n if np.ndim(target) == 0 else target
    checked = inputs.check_labels(labels, "target", caller=6)
    _check_length("target", checked, n)
    return fitted.target_of(estimator).encode(checked, "target")


def _numbers(target: Any, n_outputs: int, n: int) -> Array:
    """Return the number of the output of each sample, given one for all or one for each."""
    numbers = np.asarray(to_numpy(target, "target"))
    sound = numbers.dtype.kind in "iu" and numbers.ndim <= 1
    if not sound or not ((numbers >= 0) & (numbers < n_outputs)).all():
        raise ValueError(
            f"target={brief(target)}; needed: the number of an output, from 0 to {n_outputs - 1}, "
            "or an array with one for each sample."
        )
    if numbers.ndim == 1:
        _check_length("target", numbers, n)
    return np.broadcast_to(numbers, n)


def _check_length(name: str, values: Array, n: int) -> None:
    if len(values) != n:
        raise ValueError(f"X holds {n} samples, but {name} {len(values)}.")
