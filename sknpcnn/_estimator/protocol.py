"""Types: the parameters, attributes and methods of an estimator that this package uses.

scikit-learn has no type annotations, so mypy accepts every class derived from BaseEstimator as any
protocol. It checks the functions that take an estimator; whether estimators have all that is
declared here is a test, in tests/estimator/test_protocol.py.
"""

from typing import Any, ClassVar, Protocol

from sknpcnn._network.batches import Array
from sknpcnn.augmentation.base import Image
from sknpcnn.losses import Loss


class AnyEstimator(Protocol):
    """Any estimator of this package: a classifier, a regressor, or NumpyCNNFeatures."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name."""
        ...


class Estimator(AnyEstimator, Protocol):
    """A classifier or regressor, fitted or not: ``fit`` sets the fitted attributes."""

    _targets: ClassVar[tuple[str, ...]]
    """The kinds of targets that it can be fitted to."""

    # Parameters, as the user gave them. These are read one by one; read_params reads all of them.
    image_shape: Any
    loss: Any
    early_stopping: bool
    scoring: Any
    warm_start: bool
    checkpoint_dir: Any
    random_state: Any
    n_jobs: int | None

    # Fitted attributes. Those that a fitted estimator may lack are not declared, but read with
    # getattr: the names of the features, and what older pickles do not hold.
    classes_: Array
    """Only of a classifier."""
    target_mean_: Array
    """Only of a regressor, as ``target_scale_``."""
    target_scale_: Array
    image_shape_: Image
    n_iter_: int
    t_: int
    _sample_shape: tuple[int, ...]
    """The shape of a sample as it was given: of a row, or of an image."""
    _theta: Array
    """All parameters of the network, in one vector."""
    _standard: tuple[Array, Array] | None
    """Mean and scale of the input."""
    _architecture: dict[str, Any]
    """The hyperparameters of the network; every fit makes a new dict."""
    _loss: str | Loss
    """By its name where it has one."""
    _history: list[dict[str, float]]
    _progress: dict[str, Any] | None
    """The rest of the state to resume training from; None if it is not kept."""

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy of a classifier, R2 of a regressor."""
        ...

    def _validate_params(self) -> None: ...

    def _init_callback_context(self, *, max_subtasks: int) -> Any: ...
