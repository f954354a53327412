"""The contract of losses as a test, for authors of losses of their own."""

import pickle

import numpy as np

from sknpcnn.losses import Loss

Array = np.ndarray

STEP, TOLERANCE = 1e-6, 1e-5
"""Of central differences, and how far they may be from the gradient."""


@np.errstate(all="ignore")  # as where losses are computed
def check_loss(loss: Loss, *, n: int = 12, n_outputs: int = 3, seed: int = 0) -> None:
    """Check that a loss fulfills its contract, on random outputs and targets.

    It is an immutable value; it modifies none of its inputs; each sample's loss depends only on
    its own outputs and target; the gradient is right, and in the precision of the outputs; the link
    keeps the shape, and computes probabilities if the targets are classes or labels.

    Parameters
    ----------
    loss : Loss
        The loss to check.
    n : int
        Number of samples.
    n_outputs : int
        Number of outputs per sample.
    seed : int
        Seed of the random numbers.

    Raises
    ------
    AssertionError
        If the loss violates the contract; it says how.

    Examples
    --------
    >>> from sknpcnn.losses import Huber
    >>> from sknpcnn.testing import check_loss
    >>> check_loss(Huber(delta=0.5))
    """
    if not isinstance(loss, Loss):
        raise AssertionError(f"{loss!r} is not an instance of sknpcnn.losses.Loss")
    rng = np.random.default_rng(seed)
    outputs = rng.normal(size=(n, n_outputs))
    _demand(loss.targets in ("reals", "classes", "labels"), loss, f"targets={loss.targets!r}")
    targets: Array = rng.normal(size=(n, n_outputs))
    if loss.targets == "classes":
        targets = rng.integers(n_outputs, size=n)
    elif loss.targets == "labels":
        targets = rng.integers(2, size=(n, n_outputs), dtype=np.uint8)
    elif loss.nonnegative:
        targets = np.abs(targets)
    _check_value(loss)
    _check_forms(loss, outputs, targets)
    _check_samples_are_apart(loss, outputs, targets)
    _check_gradient(loss, outputs, targets, rng)
    _check_link(loss, outputs)


def _demand(holds: bool, loss: Loss, promise: str) -> None:
    if not holds:
        raise AssertionError(f"{loss!r}: {promise}")


def _check_value(loss: Loss) -> None:
    try:
        again = pickle.loads(pickle.dumps(loss))
        same = again == loss and hash(again) == hash(loss)
        same = same and loss.replace(**loss.get_params()) == loss
    except Exception as error:
        raise AssertionError(f"{loss!r}: cannot be pickled or compared: {error}") from error
    _demand(same, loss, "is not equal to a copy of itself; make it @dataclass(frozen=True)")


def _check_forms(loss: Loss, outputs: Array, targets: Array) -> None:
    """Check shapes and types, and that the arguments are not modified."""
    for dtype in (np.float64, np.float32):
        given, wanted = outputs.astype(dtype), targets.copy()
        losses, gradient = loss.compute(given, wanted)
        unchanged = np.array_equal(given, outputs.astype(dtype)) and np.array_equal(wanted, targets)
        _demand(unchanged, loss, "compute modifies its arguments")
        _demand(losses.shape == (len(outputs),), loss, f"its losses are of shape {losses.shape}")
        _demand(losses.dtype == np.float64, loss, f"its losses are {losses.dtype}, not float64")
        _demand(gradient.shape == outputs.shape, loss, f"its gradient has shape {gradient.shape}")
        _demand(gradient.dtype == dtype, loss, f"its gradient is {gradient.dtype}, not {dtype}")
        finite = bool(np.isfinite(losses).all() and np.isfinite(gradient).all())
        _demand(finite, loss, "is not finite at usual outputs")
        fresh = gradient.flags.writeable and not np.may_share_memory(gradient, given)
        _demand(fresh, loss, "its gradient is not an array of its own, which is scaled in place")
        again = loss.compute(given, wanted)
        same = np.array_equal(again[0], losses) and np.array_equal(again[1], gradient)
        _demand(same, loss, "two calls with the same arguments differ")


def _check_samples_are_apart(loss: Loss, outputs: Array, targets: Array) -> None:
    losses, gradient = loss.compute(outputs.copy(), targets)
    for i in range(len(outputs)):
        alone = loss.compute(outputs[i : i + 1].copy(), targets[i : i + 1])
        same = np.allclose(alone[0][0], losses[i], rtol=1e-12, atol=1e-14)
        same &= np.allclose(alone[1][0], gradient[i], rtol=1e-12, atol=1e-14)
        _demand(same, loss, "the loss of a sample depends on the others in its batch")


def _check_gradient(loss: Loss, outputs: Array, targets: Array, rng: np.random.Generator) -> None:
    _, gradient = loss.compute(outputs.copy(), targets)
    for direction in [*rng.normal(size=(4, *outputs.shape)), np.ones_like(outputs)]:
        ends = [loss.compute(outputs + h * direction, targets)[0] for h in (-STEP, STEP)]
        slopes = (ends[1] - ends[0]) / (2 * STEP)
        right = np.allclose(slopes, (gradient * direction).sum(axis=1), TOLERANCE, TOLERANCE)
        _demand(right, loss, "its gradient is not the slope of its losses")


def _check_link(loss: Loss, outputs: Array) -> None:
    predicted = loss.link(outputs.copy())
    _demand(predicted.shape == outputs.shape, loss, f"link changes the shape: {predicted.shape}")
    if loss.targets == "reals":
        return
    inside = bool((predicted >= 0).all() and (predicted <= 1).all())
    _demand(inside, loss, "link does not make probabilities")
    if loss.targets == "classes":
        sums = np.allclose(predicted.sum(axis=1), 1)
        _demand(sums, loss, "the probabilities of the classes do not add up to 1")
        same = bool((predicted.argmax(axis=1) == outputs.argmax(axis=1)).all())
        _demand(same, loss, "the largest output is not the most probable class")
    logs = loss.log_link(outputs.copy())
    _demand(np.allclose(np.exp(logs), predicted), loss, "log_link is not the logarithm of link")
