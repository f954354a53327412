"""PredictionDisplay draws images with what they are and what was predicted, mistakes first."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import is_regressor
from sklearn.utils.multiclass import is_multilabel

from sknpcnn._estimator.labels import to_dense
from sknpcnn._network.batches import Array
from sknpcnn._values.arrays import to_numpy
from sknpcnn._values.brief import brief
from sknpcnn.display import ranking
from sknpcnn.display.axes import make_grid, room, show_image
from sknpcnn.display.pictures import (
    as_images,
    check_count,
    drawable,
    images_seen,
    predicting,
    split_estimator,
)

N_IMAGES = 24
"""How many images are drawn if nothing else is said."""
WRONG = "#d55e00"
KINDS = "classes", "labels", "values"


class PredictionDisplay:
    """Images with their true and predicted labels, the most confident mistakes first.

    It is made by :meth:`from_estimator` or :meth:`from_predictions`. Mistakes have a thick frame,
    and a second line that says what is true.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, channels)
        The images.
    y_pred : ndarray of shape (n,) or (n, k)
        The predictions: classes, an indicator matrix of labels, or real values.
    y_true : ndarray of the shape of y_pred, default=None
        What is true, if it is known.
    confidence : ndarray of shape (n,), default=None
        The probability of each prediction.
    kind : {"classes", "labels", "values"}, default="classes"
        What is predicted.
    label_names : dict, default=None
        Names to write, by class or by column of an indicator matrix.

    Attributes
    ----------
    indices_ : ndarray of shape (n_drawn,)
        Which of the images are drawn, in this order.
    axes_ : ndarray of shape (rows, columns)
        The axes, one for each image; the last ones may be empty.
    bounding_ax_ : matplotlib Axes or None
        The axes that were given and divided.
    figure_ : matplotlib Figure
        The figure.
    images_ : list of matplotlib AxesImage
        The images that are drawn.
    texts_ : list of matplotlib Text
        What is written above them.

    See Also
    --------
    sklearn.metrics.ConfusionMatrixDisplay : Which classes are taken for which.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.display import PredictionDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = NumpyCNNClassifier(conv_filters=4, max_iter=2, random_state=0).fit(X[:500], y[:500])
    >>> display = PredictionDisplay.from_estimator(clf, X[500:], y[500:], n_images=8)
    >>> first = display.indices_[0]
    >>> bool(clf.predict(X[500:])[first] != y[500:][first])
    True
    """

    def __init__(
        self,
        images: Array,
        y_pred: Array,
        *,
        y_true: Array | None = None,
        confidence: Array | None = None,
        kind: str = "classes",
        label_names: Mapping[Any, Any] | None = None,
    ) -> None:
        self.images = images
        self.y_pred = y_pred
        self.y_true = y_true
        self.confidence = confidence
        self.kind = kind
        self.label_names = label_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        images: Any = None,
        label_names: Sequence[Any] | None = None,
        n_images: int | None = None,
        indices: Any = None,
        im_kw: dict[str, Any] | None = None,
        text_kw: dict[str, Any] | None = None,
        ax: Any = None,
    ) -> Self:
        """Predict images, and draw them.

        Parameters
        ----------
        estimator : estimator
            A fitted NumpyCNNClassifier or NumpyCNNRegressor, a Pipeline that ends in one, or a
            fitted search for one.
        X : array-like
            What the estimator predicts: images, or rows.
        y : array-like of shape (n,) or (n, k), default=None
            What is true.
        images : array-like of shape (n, height, width[, channels]), default=None
            The images to draw; None for those that the network sees, after the steps of a Pipeline.
        label_names : sequence of str, default=None
            Names to write: of the classes, in the order of ``classes_``, or of the columns of an
            indicator matrix.
        n_images : int, default=None
            How many images to draw; None for as many as there are axes, or up to 24.
        indices : array-like of int, default=None
            Which images to draw; None for the most telling ones, see :meth:`plot`.
        im_kw, text_kw : dict, default=None
            Keywords for ``Axes.imshow`` and ``Axes.set_title``.
        ax : matplotlib Axes or array of Axes, default=None
            Where to draw: axes that are divided, or one for each image; None for a new figure.

        Returns
        -------
        display : PredictionDisplay
            The display.
        """
        seen = images_seen(estimator, X)
        network = predicting(split_estimator(estimator).network)
        y_pred = network.predict(seen)
        known: dict[str, Any] = {"kind": "values"}
        if not is_regressor(network):
            kind = "labels" if y_pred.ndim == 2 else "classes"
            proba = network.predict_proba(seen)
            known = {"kind": kind, "y_proba": proba, "classes": network.classes_}
        return cls.from_predictions(
            y,
            y_pred,
            seen if images is None else images,
            label_names=label_names,
            n_images=n_images,
            indices=indices,
            im_kw=im_kw,
            text_kw=text_kw,
            ax=ax,
            **known,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        images: Any,
        *,
        y_proba: Any = None,
        classes: Any = None,
        label_names: Sequence[Any] | None = None,
        kind: str | None = None,
        n_images: int | None = None,
        indices: Any = None,
        im_kw: dict[str, Any] | None = None,
        text_kw: dict[str, Any] | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw images that were predicted, by any estimator.

        Parameters
        ----------
        y_true : array-like of shape (n,) or (n, k) or None
            What is true.
        y_pred : array-like of shape (n,) or (n, k)
            The predictions.
        images : array-like of shape (n, height, width) or (n, height, width, channels)
            The images.
        y_proba : array-like of shape (n, n_classes), default=None
            The probabilities of classes or labels.
        classes : array-like of shape (n_classes,), default=None
            The classes, which are the columns of ``y_proba``; None for those that occur, sorted.
        label_names : sequence of str, default=None
            Names to write, in the order of ``classes`` or of the columns of an indicator matrix.
        kind : {"classes", "labels", "values"}, default=None
            What is predicted; None to take it from ``y_pred``.
        n_images : int, default=None
            How many images to draw; None for as many as there are axes, or up to 24.
        indices : array-like of int, default=None
            Which images to draw; None for the most telling ones, see :meth:`plot`.
        im_kw, text_kw : dict, default=None
            Keywords for ``Axes.imshow`` and ``Axes.set_title``.
        ax : matplotlib Axes or array of Axes, default=None
            Where to draw: axes that are divided, or one for each image; None for a new figure.

        Returns
        -------
        display : PredictionDisplay
            The display.
        """
        y_pred = np.asarray(to_dense(to_numpy(y_pred, "y_pred")))
        kind = _kind_of(y_pred) if kind is None else kind
        if kind not in KINDS:
            raise ValueError(f"kind={brief(kind)}; needed: one of {', '.join(KINDS)}, or None.")
        if y_true is not None:
            y_true = np.asarray(to_dense(to_numpy(y_true, "y")))
            y_true = y_true.reshape(y_pred.shape) if y_true.shape == (len(y_pred), 1) else y_true
            if y_true.shape != y_pred.shape:
                raise ValueError(
                    f"y has the shape {y_true.shape}; needed: that of the predictions, "
                    f"{y_pred.shape}."
                )
            if len({isinstance(y.flat[0], str) for y in (y_true, y_pred) if y.size}) > 1:
                raise ValueError(
                    f"y holds {brief(y_true.flat[0])}, but {brief(y_pred.flat[0])} is predicted; "
                    "needed: labels of one kind."
                )
        if label_names is not None and kind == "values":
            raise ValueError("label_names is given, but real values are predicted; needed: None.")
        columns: Any = None
        if kind == "labels":
            columns = np.arange(y_pred.shape[1])
        elif kind == "classes" and classes is not None:
            columns = np.asarray(classes)
        elif kind == "classes" and (y_proba is not None or label_names is not None):
            columns = np.unique(y_pred if y_true is None else np.concatenate([y_pred, y_true]))
        names = confidence = None
        if label_names is not None and columns is not None:
            if len(label_names) != len(columns):
                raise ValueError(
                    f"label_names has {len(label_names)} names; needed: {len(columns)}, one for "
                    "each class."
                )
            names = dict(zip(columns.tolist(), label_names, strict=True))
        if y_proba is not None and columns is not None:
            p = np.asarray(to_numpy(y_proba, "y_proba"))
            confidence = ranking.confidence_of(kind, y_pred, y_true, p, columns)
        shown = as_images(images, len(y_pred))
        display = cls(
            shown, y_pred, y_true=y_true, confidence=confidence, kind=kind, label_names=names
        )
        return display.plot(ax, n_images=n_images, indices=indices, im_kw=im_kw, text_kw=text_kw)

    def plot(
        self,
        ax: Any = None,
        *,
        n_images: int | None = None,
        indices: Any = None,
        im_kw: dict[str, Any] | None = None,
        text_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the images.

        By default, first the mistakes that were made with the most confidence, then what was right
        with the least. Of real values, first the largest errors; relative to the deviation of each
        target, if there are several.

        Parameters
        ----------
        ax : matplotlib Axes or array of Axes, default=None
            Where to draw: axes that are divided, or one for each image; None for a new figure.
        n_images : int, default=None
            How many images to draw; None for as many as there are axes, or up to 24.
        indices : array-like of int, default=None
            Which images to draw; None for the most telling ones.
        im_kw, text_kw : dict, default=None
            Keywords for ``Axes.imshow`` and ``Axes.set_title``.

        Returns
        -------
        self : PredictionDisplay
            The display.
        """
        y_true, kind = self.y_true, self.kind
        if n_images is not None:
            check_count("n_images", n_images)
        if indices is None:
            order = ranking.ranked(kind, self.y_pred, y_true, self.confidence)
            indices = order[: room(ax, N_IMAGES) if n_images is None else n_images]
        self.indices_ = ranking.as_indices(indices, len(self.y_pred))[:n_images]
        if not len(self.indices_):
            raise ValueError("There are no images to draw; needed: one or more.")
        axes = make_grid(self, ax, len(self.indices_), (1.4, 1.65))
        wrong = ranking.is_wrong(kind, self.y_pred, y_true)
        shown = drawable(self.images[self.indices_])
        self.images_, self.texts_ = [], []
        for panel, i, image in zip(axes, self.indices_, shown, strict=True):
            self.images_.append(show_image(panel, image, im_kw))
            style = {"fontsize": 8} | ({"color": WRONG} if wrong[i] else {}) | (text_kw or {})
            self.texts_.append(panel.set_title(self._text(i, wrong[i]), **style))
            if wrong[i]:
                panel.spines[:].set(color=WRONG, lw=3)
        return self

    def _text(self, i: int, wrong: bool) -> str:
        """Return the prediction with its probability and, if that differs, what is true."""
        text = ranking.in_words(self.kind, self.y_pred[i], self.label_names)
        if self.confidence is not None:
            text += f" ({self.confidence[i]:.0%})"
        if self.y_true is not None and (wrong or self.kind == "values"):
            text += f"\ntrue: {ranking.in_words(self.kind, self.y_true[i], self.label_names)}"
        return text


def _kind_of(y_pred: Array) -> str:
    """Return what is predicted, as far as its values tell."""
    if is_multilabel(y_pred):
        return "labels"
    return "values" if ranking.are_continuous(y_pred) or y_pred.ndim == 2 else "classes"
