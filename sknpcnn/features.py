"""NumpyCNNFeatures makes the outputs of a layer features for any other estimator."""

import warnings
from importlib import import_module
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from sknpcnn._estimator import constraints, fitted, inputs, preparation
from sknpcnn._estimator.private import fit_context
from sknpcnn._estimator.protocol import Estimator
from sknpcnn._network.batches import Array
from sknpcnn._values.suggestions import KnownKeywords
from sknpcnn.classifier import NumpyCNNClassifier
from sknpcnn.layers import Dense, Dropout, Flatten
from sknpcnn.regressor import NumpyCNNRegressor
from sknpcnn.version import page_of

if TYPE_CHECKING:
    from sknpcnn.layers.base import Shape


_ESTIMATORS = NumpyCNNClassifier, NumpyCNNRegressor


class NumpyCNNFeatures(KnownKeywords, TransformerMixin, BaseEstimator):
    """Transform images to the outputs of one layer of a network.

    The network may be trained or untrained: even random convolutions and pooling yield features
    from which a linear classifier learns more than from pixels.

    Parameters
    ----------
    estimator : NumpyCNNClassifier, NumpyCNNRegressor or FrozenEstimator of one, default=None
        The estimator of the network; None for ``NumpyCNNClassifier()``. It is cloned, and not
        modified. A fitted one inside ``sklearn.frozen.FrozenEstimator`` is used with its weights.
    layer : str, default=None
        Name of the layer, as in ``summary()``; None for the last one before the first dense layer,
        not counting flattening and dropout.
    train : bool, default=False
        Whether ``fit`` trains the network on ``X`` and ``y``. Otherwise it keeps its initial
        weights, and ``y`` is not needed.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights and of training; None for that of the estimator.

    Attributes
    ----------
    estimator_ : NumpyCNNClassifier or NumpyCNNRegressor
        The fitted estimator; with ``train=False`` its weights are the initial ones.
    layer_ : str
        Name of the layer.
    n_features_in_ : int
        Number of features of a sample.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if X was a data frame.

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
    _doc_link_module = "sknpcnn"
    _doc_link_template = page_of("sknpcnn.{estimator_name}")

    def __init__(
        self,
        estimator: Any = None,
        *,
        layer: Any = None,
        train: Any = False,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.layer = layer
        self.train = train
        self.random_state = random_state

    @classmethod
    def from_onnx(cls, model: Any, *, layer: str | None = None, output: str | None = None) -> Self:
        """Make a fitted transformer of a network in the ONNX format.

        Needs ``pip install sknpcnn[onnx]``. ``sknpcnn.onnx.from_onnx`` says what is supported.

        Parameters
        ----------
        model : str, path, bytes or onnx.ModelProto
            The model, for images of a fixed size.
        layer : str, default=None
            Name of the layer, as ``estimator_.summary()`` lists them; None for the last one before
            the first dense layer.
        output : str, default=None
            The tensor of the model at which the network ends; None for the output of the model.

        Returns
        -------
        features : NumpyCNNFeatures
            A fitted transformer. The images that it is given must be prepared as those that the
            model was made for.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from sknpcnn import NumpyCNNClassifier, NumpyCNNFeatures
        >>> from sknpcnn.onnx import to_onnx
        >>> X, y = load_digits(return_X_y=True)
        >>> model = to_onnx(NumpyCNNClassifier(conv_filters=4, max_iter=1).fit(X, y))
        >>> NumpyCNNFeatures.from_onnx(model, layer="maxpool2d_1").transform(X).shape
        (1797, 64)
        """
        onnx = import_module("sknpcnn.onnx.reading.estimators")  # only now: it is optional
        made: Self = onnx.features_from_onnx(cls, model, layer, output)
        return made

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit the network.

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
        layer = find_layer(model, self.layer)
        found = {"estimator_": model, "layer_": layer}
        fitted.publish(self, found | fitted.features_of(model))
        return self

    def transform(self, X: Any) -> Array:
        """Compute the features of images.

        Parameters
        ----------
        X : array-like of shape (n, height, width), (n, height, width, channels) or (n, features)
            The images.

        Returns
        -------
        features : ndarray of shape (n, n_features_out)
            The outputs of the layer; those of image layers in (height, width, channel) order.
        """
        now = fitted.atomic_copy(self)
        check_is_fitted(now)
        model = fitted.snapshot(now.estimator_)
        X = inputs.check_prediction_data(now, X, model.image_shape_)
        return fitted.outputs_of(model, X, now.layer_)

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Name the features by layer and position: ``maxpool2d_1_ROW_COLUMN_CHANNEL``.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Not used: a feature comes from many pixels.

        Returns
        -------
        names : ndarray of str
            One name for each feature.
        """
        now = fitted.atomic_copy(self)
        check_is_fitted(now)
        shape = now._shape_out()
        positions = np.indices(shape).reshape(len(shape), prod(shape)).T
        names = ["_".join(map(str, (now.layer_, *position))) for position in positions]
        return np.array(names, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.train
        tags.input_tags.three_d_array = True
        return tags

    def _sk_visual_block_(self) -> Any:
        """Show the estimator inside scikit-learn's diagram, the fitted one if there is one."""
        from sknpcnn._estimator import diagram

        return diagram.block_around(self)

    def _get_params_html(self, *args: Any, **options: Any) -> Any:
        """Show the parameters and the network that makes the features."""
        from sknpcnn._estimator import diagram

        table = super()._get_params_html(*args, **options)
        inner = getattr(self, "estimator_", self.estimator)
        network = NumpyCNNClassifier() if inner is None else inner
        return diagram.with_network(table, network, getattr(self, "layer_", self.layer))

    def _get_fitted_attr_html(self, *args: Any, **options: Any) -> Any:
        from sknpcnn._estimator import diagram

        return diagram.readable(super()._get_fitted_attr_html(*args, **options))

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
            inputs.check_prediction_data(model, X, model.image_shape_)
            return model
        model = NumpyCNNClassifier() if self.estimator is None else clone(self.estimator)
        if self.random_state is not None:
            model.random_state = self.random_state
        if not self.train:
            if hasattr(self.estimator, "_theta"):
                warnings.warn(
                    "estimator is fitted, but it is cloned, and the clone has random weights. To "
                    "use the fitted weights, give FrozenEstimator(estimator).",
                    stacklevel=4,
                )
            preparation.prepare_untrained(model, X, sample_weight)
            return model
        if y is None:
            raise ValueError(
                "With train=True, NumpyCNNFeatures requires y to be passed, but the target y is "
                "None."
            )
        model.fit(X, y, sample_weight)
        return model

    def _shape_out(self) -> "Shape":
        table = {row.name: row.output_shape for row in fitted.network_of(self.estimator_).summary()}
        return table[self.layer_]


def find_layer(model: Estimator, requested: str | None) -> str:
    """Return the name of the requested layer, or the last one before the first dense layer."""
    if requested is not None:
        return fitted.find_layer(model, requested)
    steps = fitted.network_of(model).steps[1:]
    dense = next(i for i, (_, layer) in enumerate(steps) if isinstance(layer, Dense))
    same = (Dropout, Flatten)  # their outputs are their inputs
    images = [name for name, layer in steps[:dense] if not isinstance(layer, same)]
    return (images or [name for name, _ in steps[:dense]])[-1]
