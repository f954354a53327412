"""Saves models in files that are safe to load: arrays and JSON, with every field validated.

joblib and pickle run code that a file names, so a model from somebody else may do anything. Here a
file holds hyperparameters, names of layers of this package, and arrays, from which a new estimator
is built.
"""

from os import PathLike, fspath
from os.path import realpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sknpcnn._storage import files, storage
from sknpcnn.saving.network import FORMAT, VERSION, invalid, read_file, short
from sknpcnn.saving.plain import to_plain

if TYPE_CHECKING:
    from sknpcnn.saving.rebuilding import Estimator


def save(estimator: "Estimator", path: str | PathLike[str]) -> None:
    """Write a fitted estimator to a file that can be read without executing anything in it.

    Parameters
    ----------
    estimator : NumpyCNNClassifier or NumpyCNNRegressor
        A fitted estimator. Layers, losses, schedules and the like must be those of this package,
        and labels numbers, strings or times. Parameters of the machine (``checkpoint_dir``,
        ``n_jobs``, ``verbose``), callbacks and metadata requests are not saved.
    path : str or path
        The file; by convention its name ends in ``.npz``. An existing file is replaced atomically,
        keeping its permissions; if ``path`` is a link, its target is replaced.

    Raises
    ------
    TypeError, ValueError
        If the estimator holds values that could not be loaded again.
    OSError
        If the file cannot be written. An existing file is then unchanged.

    See Also
    --------
    load : Read such a file.

    Examples
    --------
    >>> import tempfile
    >>> import sknpcnn
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = sknpcnn.NumpyCNNClassifier(max_iter=1).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sknpcnn.save(clf, folder + "/digits.npz")
    ...     again = sknpcnn.load(folder + "/digits.npz")
    >>> bool((again.predict(X) == clf.predict(X)).all())
    True
    """
    # only now: the rest of this folder needs NumPy alone
    from sklearn.utils.validation import check_is_fitted

    from sknpcnn.saving.rebuilding import ESTIMATORS, MACHINE_PARAMS, PLAIN_ATTRIBUTES, rebuild

    if type(estimator) not in ESTIMATORS.values():
        raise TypeError(
            f"save is given a {type(estimator).__name__}; needed: a {' or '.join(ESTIMATORS)}. For "
            "other estimators, such as a pipeline around it, there are joblib and skops."
        )
    check_is_fitted(estimator, "_theta")
    params = estimator.get_params(deep=False)
    for name in MACHINE_PARAMS:
        del params[name]
    if params["dtype"] is not None:
        params["dtype"] = np.dtype(params["dtype"]).name
    values: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "estimator": type(estimator).__name__,
        "params": {name: to_plain(value, name) for name, value in params.items()},
        "fitted": {name: to_plain(getattr(estimator, name), name) for name in PLAIN_ATTRIBUTES},
    }
    arrays = {"theta": estimator._theta}
    if estimator._standard is not None:
        arrays["mean"], arrays["scale"] = estimator._standard
    for name in ("classes_", "feature_names_in_"):
        array = getattr(estimator, name, None)
        if array is not None and array.dtype.kind == "O":
            values[name] = [to_plain(item, name) for item in array.tolist()]
        elif array is not None:
            arrays[name] = array
    for name in ("target_mean_", "target_scale_"):
        if hasattr(estimator, name):
            arrays[name] = np.asarray(getattr(estimator, name))
    if (progress := estimator._progress) is not None:
        memory = progress["memory"]
        plain = {name: value for name, value in progress.items() if name != "memory"}
        values["progress"] = {name: to_plain(value, name) for name, value in plain.items()}
        arrays |= {f"memory.{name}": array for name, array in memory.items()}
    try:  # do not save what cannot be loaded
        rebuild(storage.round_trip(values), arrays)
    except ValueError as error:
        raise ValueError(
            f"The {type(estimator).__name__} cannot be saved, as it could not be loaded again "
            f"({short(error)})."
        ) from error
    file = Path(fspath(path))
    files.remove_stale(Path(realpath(file)).parent)
    storage.write(file, values, arrays)


def load(path: str | PathLike[str]) -> "Estimator":
    """Read an estimator from a file written by ``save``, without executing anything in it.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    estimator : NumpyCNNClassifier or NumpyCNNRegressor
        The fitted estimator. It predicts the same bits, and can resume training.
        ``checkpoint_dir``, ``n_jobs`` and ``verbose`` have their defaults.

    Raises
    ------
    ValueError
        If the file is damaged, or not one that ``save`` could have written.
    OSError
        If it cannot be read.

    See Also
    --------
    save : Write such a file.

    Examples
    --------
    >>> import tempfile
    >>> import sknpcnn
    >>> with tempfile.NamedTemporaryFile(suffix=".npz") as file:
    ...     sknpcnn.load(file.name)
    Traceback (most recent call last):
        ...
    ValueError: ...npz: is not an intact file (it is not an archive).
    """
    from sknpcnn.saving.rebuilding import rebuild

    file = Path(fspath(path))
    values, arrays = read_file(file)
    try:
        return rebuild(values, arrays)
    except MemoryError:
        raise
    except Exception as error:
        raise invalid(file, error) from error
