"""Predicts with saved models where NumPy is the only package: no scikit-learn, no SciPy, no joblib.

It runs the same layers on the same engine as the estimators, and needs no threads.
"""

from importlib import import_module
from io import BufferedIOBase
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from sknpcnn._engine.engine import Engine
from sknpcnn._network.batches import Rows
from sknpcnn._network.network import MIN_ROWS_TO_FOLD
from sknpcnn._values.brief import brief
from sknpcnn._values.checks import is_integer
from sknpcnn.saving.network import (
    SavedNetwork,
    invalid,
    read_file,
    read_loss,
    read_network,
    upgrade_fitted,
)
from sknpcnn.saving.plain import from_plain

Array = np.ndarray


class Predictor:
    """A saved network that predicts; made by ``load``.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels of a classifier; a regressor has none.
    image_shape_ : tuple of int
        Height, width and channels of an image.
    n_features_in_ : int
        Number of pixels, times channels.

    Examples
    --------
    >>> import tempfile
    >>> import sknpcnn
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = sknpcnn.NumpyCNNClassifier(max_iter=1).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sknpcnn.save(clf, folder + "/digits.npz")
    ...     predictor = sknpcnn.lite.load(folder + "/digits.npz")
    >>> bool((predictor.predict_proba(X) == clf.predict_proba(X)).all())
    True
    """

    def __init__(self, saved: SavedNetwork, n_threads: int = 1) -> None:
        self.image_shape_ = saved.network.image
        self.n_features_in_ = int(np.prod(self.image_shape_))
        if "classes_" in saved.targets:
            self.classes_ = saved.targets["classes_"]
        self._saved = saved
        self._n_threads = n_threads
        self._engines: list[Engine] = []
        """An idle engine, with the memory for a few images."""

    def predict(self, X: Any) -> Array:
        """Predict labels, or values.

        Parameters
        ----------
        X : array-like of shape (n, height, width), (n, height, width, channels) or (n, features)
            The images.

        Returns
        -------
        y : ndarray of shape (n,) or (n, k)
            Labels of a classifier, values of a regressor.
        """
        saved = self._saved
        return saved.target.predict(self._outputs(X), saved.loss)

    def predict_proba(self, X: Any) -> Array:
        """Compute the probability of each class, or of each label.

        Parameters
        ----------
        X : array-like of shape (n, height, width), (n, height, width, channels) or (n, features)
            The images.

        Returns
        -------
        p : ndarray of shape (n, n_classes)
            Probabilities, in the order of ``classes_``.
        """
        if not hasattr(self, "classes_"):
            raise AttributeError("A regressor has no probabilities; there is predict.")
        return self._saved.loss.link(self._outputs(X))

    def _outputs(self, X: Any) -> Array:
        """Compute the outputs of the network."""
        saved, rows = self._saved, self._rows(X)
        batch = Rows(rows, self.image_shape_, saved.standard)
        few = len(rows) < MIN_ROWS_TO_FOLD
        try:
            engine = self._engines.pop() if few else self._engine(None)
        except IndexError:
            engine = self._engine({})
        with np.errstate(all="ignore"), engine:
            outputs = saved.network.logits(saved.theta, batch, engine)
        if few and not self._engines:
            self._engines.append(engine)
        if not np.isfinite(outputs).all():
            raise ValueError("X makes the network overflow; needed: pixels on the usual scale.")
        return outputs

    def _engine(self, derived: dict[str, Any] | None) -> Engine:
        """Return an engine; one that is kept has a place for what is derived from parameters."""
        return Engine(self._n_threads, self._saved.theta.dtype, derived=derived)

    def _rows(self, X: Any) -> Array:
        """Check images, and return them as rows."""
        array = np.asarray(X)
        image, n_features = self.image_shape_, self.n_features_in_
        allowed = [image, (n_features,), image[:2] if image[2] == 1 else image]
        if array.ndim < 2 or array.shape[1:] not in allowed or len(array) == 0:
            raise ValueError(
                f"X has the shape {array.shape}; needed: images (n, {', '.join(map(str, image))}), "
                f"or rows (n, {n_features})."
            )
        if array.dtype.kind not in "biuf":
            raise ValueError(f"X has the dtype {array.dtype}; needed: numbers.")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError("X holds values that are not finite.")
        return np.ascontiguousarray(array.reshape(len(array), n_features))


def load(path: str | PathLike[str] | BufferedIOBase, *, n_threads: int = 1) -> Predictor:
    """Read a model that ``sknpcnn.save`` has written, to predict with NumPy alone.

    Parameters
    ----------
    path : str, path or binary file
        The file, or one that is open.
    n_threads : int, default=1
        The number of threads to predict with; with one, none is started. Several pay where NumPy's
        own matrix products are held to one thread, for which threadpoolctl is needed.

    Returns
    -------
    predictor : Predictor
        It predicts what the estimator does: to the bit, where NumPy's matrix products run on one
        thread, as threadpoolctl makes them do in an estimator, and else up to rounding.

    Raises
    ------
    ValueError
        If the file is damaged, or not one that ``save`` could have written.
    OSError
        If it cannot be read.

    See Also
    --------
    sknpcnn.load : Read the whole estimator, which can be trained further.

    Examples
    --------
    >>> import tempfile
    >>> from sknpcnn import lite
    >>> with tempfile.NamedTemporaryFile(suffix=".npz") as file:
    ...     lite.load(file.name)
    Traceback (most recent call last):
        ...
    ValueError: ...npz: is not an intact file (it is not an archive).
    """
    if not is_integer(n_threads) or n_threads < 1:
        raise ValueError(f"n_threads={brief(n_threads)}; needed: an integer of at least 1.")
    file = Path(fspath(path)) if isinstance(path, str | PathLike) else path
    values, arrays = read_file(file)
    try:
        return Predictor(_network_of(values, arrays), n_threads)
    except MemoryError:
        raise
    except Exception as error:
        raise invalid(file, error) from error


def _network_of(values: dict[str, Any], arrays: dict[str, Array]) -> SavedNetwork:
    """Build the network of a file; the rest of it is not read."""
    found = {
        name: from_plain(values["fitted"][name])
        for name in ("image_shape_", "_architecture", "_loss")
        if name in values["fitted"]
    }
    found.setdefault("_loss", "cross_entropy")  # the only link before version 5
    upgrade_fitted(found, values["version"])
    return read_network(found, read_loss(found["_loss"]), values, arrays)


def export(model: str | PathLike[str], archive: str | PathLike[str]) -> None:
    """Write an archive that predicts with a model file, where NumPy is the only package.

    It holds the model and the modules of this package that it takes. ``import predictor`` works
    when the archive is on Python's path, as it may be in a function on a server; that has
    ``predict``, and ``predict_proba`` and ``classes_`` of a classifier.

    Parameters
    ----------
    model : str or path
        A file that ``sknpcnn.save`` has written.
    archive : str or path
        The archive; by convention its name ends in ``.zip``. An existing one is replaced.

    Examples
    --------
    >>> import tempfile
    >>> import sknpcnn
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     clf = sknpcnn.NumpyCNNClassifier(max_iter=1).fit(X, y)
    ...     sknpcnn.save(clf, folder + "/digits.npz")
    ...     sknpcnn.lite.export(folder + "/digits.npz", folder + "/predictor.zip")
    """
    load(model)  # an error now is better than one later
    write_standalone = import_module("sknpcnn.saving.standalone").write_standalone
    write_standalone(model, archive)


__all__ = ["Predictor", "export", "load"]
