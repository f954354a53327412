"""What all estimators share: how they are fitted, and the methods of a fitted network."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, overload

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sknpcnn._estimator import constraints, fitted, gradients, inputs, preparation
from sknpcnn._estimator.layout import Image
from sknpcnn._estimator.protocol import Estimator
from sknpcnn._estimator.running import run_with_callbacks
from sknpcnn._estimator.sampling import read_data
from sknpcnn._network.batches import Array
from sknpcnn._network.network import LayerSummary
from sknpcnn.spec import nested_params, resolve
from sknpcnn.version import page_of

if TYPE_CHECKING:  # importing pandas takes as long as all of this package
    import pandas as pd
    from pandas.io.formats.style import Styler

MAX_HISTORY = 1000
"""The most epochs that partial_fit keeps in the history: a stream has no end."""


def fit(
    estimator: Estimator,
    X: Any,
    y: Any,
    sample_weight: Any = None,
    X_val: Any = None,
    y_val: Any = None,
    sample_weight_val: Any = None,
) -> None:
    """Fit an estimator: check the data, train, and publish the fitted attributes."""
    draft = fitted.snapshot(estimator)  # attributes set during this fit stay in the draft
    resumes = draft.warm_start and hasattr(draft, "_theta")
    data = {"X": X, "y": y, "sample_weight": sample_weight}
    weights = sample_weight, getattr(draft, "class_weight", None)  # a regressor has none
    read = read_data(draft, X, y, *weights, resumes)
    held_out = preparation.check_validation_data(draft, read, X_val, y_val, sample_weight_val)
    prepared = preparation.prepare_fit(
        draft,
        read,
        resumes,
        held_out,
        early_stopping=draft.early_stopping,
        checkpoint_dir=draft.checkpoint_dir,
    )
    run_with_callbacks(estimator, prepared, **data)
    theta = prepared.state.theta
    fitted.publish(estimator, fitted.attributes_of(prepared, theta, resumable=draft.warm_start))


def partial_fit(
    estimator: Estimator, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
) -> None:
    """Train an estimator for one more epoch; the first call determines the target."""
    estimator._validate_params()  # scikit-learn does so only in the first call
    draft = fitted.snapshot(estimator)
    resumes = hasattr(draft, "_theta")
    class_weight = getattr(draft, "class_weight", None)
    read = read_data(
        draft, X, y, sample_weight, class_weight, resumes, stream=True, classes=classes
    )
    prepared = preparation.prepare_fit(draft, read, resumes, stream=True)
    prepared.run(1, draft.n_jobs)
    prepared.trim_history(MAX_HISTORY)
    fitted.publish(estimator, fitted.attributes_of(prepared, prepared.state.theta, resumable=True))


class NetworkMixin(BaseEstimator):
    """The methods of a fitted network, and access to nested parameters."""

    image_shape_: Image
    _theta: Array
    """All parameters of the fitted network, in one vector."""
    _architecture: dict[str, Any]
    _parameter_constraints: ClassVar[dict[str, list[Any]]]
    _doc_link_module = "sknpcnn"
    _doc_link_template = page_of("sknpcnn.{estimator_name}")

    def get_weights(self) -> dict[str, Array]:
        """Return a copy of all parameters of the network.

        Returns
        -------
        weights : dict of str to ndarray
            By name, such as ``"conv2d_1.W"``: convolutions (kh, kw, in, filters), dense layers
            (inputs, units), where inputs after Flatten are in (height, width, channel) order.
        """
        model = self._fitted_model()
        arrays = fitted.network_of(model).layout.arrays(model._theta)
        return {name: array.copy() for name, array in arrays}

    def set_weights(self, weights: Any) -> Self:
        """Replace parameters of the network, for example by those of a network trained elsewhere.

        They do not include the mean and scale of ``standardize``: with ``standardize=True``, a
        network trained elsewhere would see images on another scale than it was trained on.

        A fit with ``max_iter=0`` makes a network whose weights can be set, and a fit with
        ``warm_start=True`` continues training from them.

        Parameters
        ----------
        weights : dict of str to array-like
            Names and shapes as returned by ``get_weights``; all others are unchanged.

        Returns
        -------
        self : estimator
            The estimator.
        """
        model = self._fitted_model()
        theta = fitted.with_weights(fitted.network_of(model), model._theta, weights)
        now = vars(self).copy()
        if (
            now["_architecture"] is model._architecture
        ):  # otherwise another thread has fitted a new one
            self.__dict__ = {**now, "_theta": theta}
        return self

    def input_gradient(
        self, X: Any, y: Any = None, *, target: Any = None, layer: Any = None
    ) -> Array:
        """Compute how a score, or with ``y`` the loss, changes with each value of each image.

        The gradient is that of what ``predict`` computes: batch normalization uses its running
        averages, and dropout does nothing. Layers of your own run as in prediction, too; those
        that return no cache for backward then cannot be differentiated (see ``ctx.keeps_cache``).

        Parameters
        ----------
        X : array-like of shape (n, height, width), (n, height, width, channels) or (n, features)
            The images.
        y : array-like of shape (n,) or (n, k), default=None
            Their labels or values, as in ``fit``, for the gradient of the loss of each image,
            without ``class_weight``; None for the gradient of a score.
        target : label, int or array-like of shape (n,), default=None
            Which score: a class, or one for each image, for a column of ``decision_function``; with
            two classes it is ``decision_function`` for the second one, and its negative for the
            first one. None for the class that is predicted. Of a regressor, and of a classifier of
            several labels, the number of the output, or one for each image; None for the first one.
            The output of a regressor is that of ``predict``, in units of ``y``; with a loss whose
            ``out_activation_`` is not the identity, it is the output before that.
        layer : str, default=None
            Name of a layer, as in ``summary()``, for the gradient with respect to its output; None
            for the gradient with respect to X.

        Returns
        -------
        gradient : ndarray
            Of the shape of X, in units of X; or of the shape of the output of the layer for all
            images, (n, height, width, channels) or (n, units). The type is that in which the
            network computes.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_digits
        >>> from sknpcnn import NumpyCNNClassifier
        >>> X, y = load_digits(return_X_y=True)
        >>> clf = NumpyCNNClassifier(max_iter=5, random_state=0).fit(X, y)
        >>> clf.input_gradient(X[:3], target=7).shape
        (3, 64)
        >>> against = X[:100] + 2 * np.sign(clf.input_gradient(X[:100], y[:100]))
        >>> bool(clf.score(against, y[:100]) < clf.score(X[:100], y[:100]))
        True
        """
        return gradients.input_gradient(self._fitted_model(), X, y, target, layer)

    @overload
    def summary(self, *, style: Literal[False] = False) -> "pd.DataFrame": ...

    @overload
    def summary(self, *, style: Literal[True]) -> "Styler": ...

    def summary(self, *, style: bool = False) -> "pd.DataFrame | Styler":
        """Describe the layers of the fitted network.

        Parameters
        ----------
        style : bool, default=False
            Whether to return the table as pandas' Styler, for notebooks: with a row of totals, and
            numbers as bars. Needs ``pip install sknpcnn[notebook]``.

        Returns
        -------
        table : DataFrame or Styler
            One row per layer: name, kind, output shape, parameters and multiply-adds per image.
        """
        import pandas as pd

        rows = fitted.network_of(self._fitted_model()).summary()
        table = pd.DataFrame(rows, columns=LayerSummary._fields)
        if not style:
            return table
        from sknpcnn._estimator import diagram

        return diagram.styled(table)

    @property
    @fitted.attribute
    def history_(self) -> "pd.DataFrame":
        """One row per epoch: losses, scores, learning rate and seconds."""
        import pandas as pd

        model = fitted.snapshot(self)
        history = model._history
        epochs = pd.RangeIndex(model.n_iter_ - len(history) + 1, model.n_iter_ + 1, name="epoch")
        return pd.DataFrame(history, index=epochs)

    @property
    @fitted.attribute
    def out_activation_(self) -> str:
        """The function that converts outputs to predictions, named as in MLPClassifier."""
        return fitted.loss_of(fitted.snapshot(self)).out_activation

    @property
    @fitted.attribute
    def best_validation_score_(self) -> float | None:
        """Highest validation score of all epochs; None without validation."""
        model = fitted.snapshot(self)
        return max(model.validation_scores_ or (), default=None)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Get the parameters by name, with ``deep`` also those of solver, schedule and layers.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include the parameters of nested objects.

        Returns
        -------
        params : dict
            Parameter names and values, ``conv2d_1__filters`` and the like included.
        """
        params = super().get_params(deep=False)
        known: dict[str, Any] = params | nested_params(params) if deep else params
        return known

    def set_params(self, **params: Any) -> Self:
        """Set parameters, including nested ones of solver, schedule and layers.

        Parameters
        ----------
        **params : dict
            Parameter names and values.

        Returns
        -------
        self : estimator
            The estimator.
        """
        super().set_params(**resolve(self.get_params(deep=False), params, self))
        return self

    def _fitted_model(self) -> Self:
        """Return a snapshot of the fitted model: another thread may be fitting a new one."""
        model = fitted.snapshot(self)
        check_is_fitted(model, "_theta")
        return model

    def _get_params_html(self, deep: bool = True, **options: Any) -> Any:
        """Show the parameters and the network in scikit-learn's diagram.

        Nested parameters are left out, as they are part of their layers: the table would show all
        of them as set by the user, including defaults.
        """
        from sknpcnn._estimator import diagram

        return diagram.with_network(super()._get_params_html(deep=False, **options), self)

    def _get_fitted_attr_html(self, *args: Any, **options: Any) -> Any:
        """Show the fitted attributes in scikit-learn's diagram."""
        from sknpcnn._estimator import diagram

        return diagram.readable(super()._get_fitted_attr_html(*args, **options))

    def _validate_params(self) -> None:
        constraints.check_each(self)

    def _model_and_outputs(self, X: Any) -> tuple[Self, Array]:
        model = self._fitted_model()
        return model, fitted.outputs_of(
            model, inputs.check_prediction_data(model, X, model.image_shape_)
        )
