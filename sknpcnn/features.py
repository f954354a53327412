"""NumpyCNNFeatures: what a layer makes of images, as features for any other estimator."""

import warnings
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from sknpcnn import beginning, constraints, fitted, inputs
from sknpcnn.batches import Array
from sknpcnn.brief import brief
from sknpcnn.classifier import NumpyCNNClassifier
from sknpcnn.layers import Dense, Dropout, Flatten
from sknpcnn.regressor import NumpyCNNRegressor
from sknpcnn.suggestions import KnownKeywords

if TYPE_CHECKING:
    from sknpcnn.layers.base import Shape


_ESTIMATORS = NumpyCNNClassifier, NumpyCNNRegressor


class NumpyCNNFeatures(KnownKeywords, TransformerMixin, BaseEstimator):
    """Turn images into what one layer of a network makes of them.

    The network is trained, or it is left as training would start: even random convolutions and
    pooling make features from which a linear classifier learns more than from pixels.

    Parameters
    ----------
    estimator : NumpyCNNClassifier, NumpyCNNRegressor or FrozenEstimator of one, default=None
        Whose network it is; None for ``NumpyCNNClassifier()``. It is cloned, and stays as it is. A
        fitted one inside ``sklearn.frozen.FrozenEstimator`` is used with the weights that it has.
    layer : str, default=None
        Name of the layer, as in ``summary()``; None for the last one before the first dense layer,
        flattening and dropout aside.
    train : bool, default=False
        Whether ``fit`` trains the network on ``X`` and ``y``. Otherwise the weights are those that
        training would start from, and ``y`` is not needed.
    random_state : int, RandomState instance or None, default=None
        What the random start and training depend on; None for the estimator's own.

    Attributes
    ----------
    estimator_ : NumpyCNNClassifier or NumpyCNNRegressor
        The fitted estimator; with ``train=False`` one that has seen no epoch.
    layer_ : str
        Name of the layer.
    n_features_in_ : int
        How many numbers a sample has.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X was a data frame.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sknpcnn import NumpyCNNClassifier, NumpyCNNFeatures
    >>> X, y = load_digits(return_X_y=True)
    >>> features = NumpyCNNFeatures(NumpyCNNClassifier(conv_filters=(32,)), random_state=0)
    >>> pipeline = make_pipeline(features, StandardScaler(), LogisticRegression(C=0.01))
    >>> pipeline.fit(X[:1000], y[:1000]).score(X[1000:], y[1000:]) > 0.94
    True
    >>> features.fit(X).get_feature_names_out()[:2]
    array(['maxpool2d_1_0_0_0', 'maxpool2d_1_0_0_1'], dtype=object)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "estimator": [*_ESTIMATORS, FrozenEstimator, None],
        "layer": [str, None],
        "train": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(self, estimator=None, *, layer=None, train=False, random_state=None):
        self.estimator = estimator
        self.layer = layer
        self.train = train
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, sample_weight=None) -> Self:
        """Make the network ready.

        Parameters
        ----------
        X : array-like of shape (n, height, width), (n, height, width, channels) or (n, features)
            The images.
        y : array-like of shape (n,) or (n, k), default=None
            Their labels or values; needed with ``train=True``.
        sample_weight : array-like of shape (n,), default=None
            Weights of the samples.

        Returns
        -------
        self : NumpyCNNFeatures
            The fitted transformer.
        """
        model = self._model(X, y, sample_weight)
        layer = _layer_of(model, self.layer)
        found = {"estimator_": model, "layer_": layer}
        fitted.publish(self, found | fitted.features_of(model))
        return self

    def transform(self, X) -> Array:
        """Compute the features of images.

        Parameters
        ----------
        X : array-like of shape (n, height, width), (n, height, width, channels) or (n, features)
            The images.

        Returns
        -------
        features : ndarray of shape (n, n_features_out)
            What the layer makes of them: for images row by row, pixel by pixel, channel by channel.
        """
        now = fitted.snapshot(self)
        check_is_fitted(now)
        model = fitted.snapshot(now.estimator_)
        X = inputs.rows_to_predict(now, X, model.image_shape_)
        return fitted.outputs_of(model, X, now.layer_)

    def get_feature_names_out(self, input_features=None) -> Array:
        """Name the features by layer and place: ``maxpool2d_1_ROW_COLUMN_CHANNEL``.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Not used: a feature comes from many pixels.

        Returns
        -------
        names : ndarray of str
            One name for each feature.
        """
        now = fitted.snapshot(self)
        check_is_fitted(now)
        shape = now._shape_out()
        places = np.indices(shape).reshape(len(shape), prod(shape)).T
        names = ["_".join(map(str, (now.layer_, *place))) for place in places]
        return np.array(names, dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.train
        tags.input_tags.three_d_array = True
        return tags

    def _validate_params(self) -> None:
        constraints.check_each(self)

    def _model(self, X: Any, y: Any, sample_weight: Any) -> NumpyCNNClassifier | NumpyCNNRegressor:
        if isinstance(self.estimator, FrozenEstimator):
            model = self.estimator.estimator
            if not isinstance(model, _ESTIMATORS):
                raise TypeError(
                    f"estimator is a FrozenEstimator of a {type(model).__name__}; needed: one of a "
                    "fitted NumpyCNNClassifier or NumpyCNNRegressor."
                )
            check_is_fitted(model)
            inputs.rows_to_predict(model, X, model.image_shape_)
            return model
        model = NumpyCNNClassifier() if self.estimator is None else clone(self.estimator)
        if self.random_state is not None:
            model.random_state = self.random_state
        if not self.train:
            if hasattr(self.estimator, "_theta"):
                warnings.warn(
                    "estimator is fitted, but a clone of it starts anew, with random weights. To "
                    "use those that it has, give FrozenEstimator(estimator).",
                    stacklevel=4,
                )
            return beginning.untrained(model, X, sample_weight)
        if y is None:
            raise ValueError(
                "With train=True, NumpyCNNFeatures requires y to be passed, but the target y is "
                "None."
            )
        return model.fit(X, y, sample_weight)

    def _shape_out(self) -> "Shape":
        table = {row.name: row.output_shape for row in fitted.network_of(self.estimator_).summary()}
        return table[self.layer_]


def _layer_of(model: Any, wanted: str | None) -> str:
    """Find the layer by its name, or the last one before the first dense layer."""
    steps = fitted.network_of(model).steps[1:]
    names = [name for name, _ in steps]
    if wanted is None:
        dense = next(i for i, (_, layer) in enumerate(steps) if isinstance(layer, Dense))
        same = (Dropout, Flatten)  # what they are given is what they give
        images = [name for name, layer in steps[:dense] if not isinstance(layer, same)]
        return (images or names[:dense])[-1]
    wanted = str.__str__(wanted)  # a class of the user's own may compare like it likes
    if wanted not in names:
        raise ValueError(f"layer={brief(wanted)}; needed: one of {', '.join(names)}, or None.")
    return wanted
