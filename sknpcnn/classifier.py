"""NumpyCNNClassifier: what scikit-learn asks of a classifier, around a network that is trained."""

from importlib import import_module
from typing import Any, ClassVar, Self

from sklearn.base import BaseEstimator, ClassifierMixin

from sknpcnn import losses
from sknpcnn._estimator import constraints, estimator, fitted
from sknpcnn._estimator.private import CallbackSupportMixin, fit_context
from sknpcnn._network.batches import Array
from sknpcnn._values.suggestions import KnownKeywords, known_keywords


class NumpyCNNClassifier(
    KnownKeywords, estimator.NetworkMixin, CallbackSupportMixin, ClassifierMixin, BaseEstimator
):
    """Convolutional neural network for images, trained by stochastic gradient descent.

    One convolution block per entry of ``conv_filters`` (convolution, batch normalization unless
    ``batch_norm=False``, activation, max pooling), then dense layers, then softmax; or any network,
    by ``layers``.

    Parameters
    ----------
    conv_filters : int, tuple of int or "auto", default="auto"
        Number of filters of each convolution block; ``()`` for no convolution. "auto" takes as many
        blocks as halve an image until 4 pixels of its shorter side are left, or 2 if it had 32 or
        fewer. Each has twice as many filters as the one before, up to 128, or 64 for small gray
        images; the first has 32, or fewer for large images: ``(32, 64, 128, 128)`` for 32x32 pixels
        in color, ``(16, 32, 64, 64)`` for 28x28 in gray. None for tables (see ``image_shape``).
    kernel_size : int, (rows, columns) or list of these, default=3
        Size of the kernels. Here and below, a list has one entry per block, and anything else
        applies to every block.
    pool_size : int, (rows, columns) or list of these, default=2
        Window of each block's max pooling; 1 for no pooling.
    padding : {"same", "valid"}, int, (rows, columns) or list of these, default="same"
        Border of zeros before each convolution. With "same", pooling keeps rows and columns that do
        not fill a window; otherwise it ignores them.
    residual : bool, list of bool or "auto", default="auto"
        Whether a block has a second convolution of the same size before its pooling, followed by
        batch normalization and activation like the first one; its input is added to the result.
        "auto" does so for images of more than 32 pixels on their shorter side, in the blocks whose
        input has 64 or fewer; only with ``conv_filters="auto"`` and ``pool_size=2``.
    global_pooling : bool or "auto", default="auto"
        Whether only the mean of each filter of the last block, over all positions, is passed on to
        the dense layers, and not the values at each position. "auto" does so for images of more
        than 32 pixels on their shorter side, in which an object may be anywhere.
    hidden_layer_sizes : int, tuple of int or "auto", default="auto"
        Number of units of each dense layer between the convolutions and the output; "auto" takes
        none after convolutions, and ``(100,)`` without convolutions.
    activation : {"relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "logistic", "identity"}, \
default="relu"
        Activation of all blocks and dense layers.
    batch_norm : bool, default=True
        Whether to apply batch normalization before each activation.
    dropout : float, default=0.1
        The fraction of the values that is set to zero in training: after each block and each dense
        layer; with ``global_pooling`` after the pooling, and not after each block.
    layers : list of layers or of (name, layer) pairs, default=None
        All layers of the network except for the output layer, which ``fit`` adds: do not put a
        ``Dense`` of as many units as there are classes at the end. Plain layers get names such as
        ``conv2d_1``, so that ``conv2d_1__filters`` is a parameter.
    image_shape : (height, width) or (height, width, channels), default=None
        Shape of an image, if X has one flat row per image. By default such a row is a square
        gray image of at least 8x8 pixels. If it cannot be one, or if the columns of a data frame
        have names of their own, X is a table: an image of one row, each column of which is
        standardized on its own.
    solver : str or Optimizer, default="adam"
        "sgd" (with a momentum of 0.9, as in MLPClassifier), "adam", "adamw", "rmsprop", "adadelta",
        "adagrad", or one from ``sknpcnn.optimizers`` with its own settings, such as
        ``SGD(momentum=0.5)``.
    learning_rate : {"auto", "constant", "adaptive"} or Schedule, default="auto"
        How the learning rate changes. "auto" is ``OneCycle()``, which rises and then falls nearly
        to zero, if it is known when training ends. With ``early_stopping`` it is divided by five
        twice within ``n_iter_no_change`` epochs without improvement; with ``warm_start``
        and in ``partial_fit`` it is "constant". "adaptive" divides it by five whenever the loss
        has not improved for five epochs; ``sknpcnn.schedules`` has more.
    learning_rate_init : float or "auto", default="auto"
        Initial learning rate, and the peak of ``OneCycle``; "auto" takes the solver's usual rate
        (Adam: 0.001), and three times as much for ``OneCycle``, which reaches it only briefly.
    alpha : float, default=0.0
        Strength of the L2 penalty on the weights, as in MLPClassifier.
    batch_size : int or "auto", default="auto"
        Samples per mini-batch; "auto" makes all mini-batches nearly the same size, 64 at most, and
        at least four of them if there are 40 samples or more.
    max_iter : int or "auto", default="auto"
        Maximum number of epochs; "auto" takes as many as make 600 steps, but at least 8 and at
        most 100 (200 for a table). 0 initializes the network without training it, so that
        ``set_weights`` can then set other weights.
    shuffle : bool, default=True
        Whether to shuffle the samples in each epoch.
    standardize : bool, default=True
        Whether to shift and scale each channel by its mean and standard deviation over the training
        data; each column, if X is a table (see ``image_shape``).
        So images from 0 to 255 and from 0 to 1 train the same network, except for dropout and for
        the samples that ``early_stopping`` holds out, which depend on the pixel values.
    augment : list of augmentations or of (name, augmentation) pairs, default=None
        How training images are changed at random each time they are seen, in this order; see
        ``sknpcnn.augmentation``.
    loss : {"auto", "cross_entropy", "binary_cross_entropy", "focal"} or Loss, default="auto"
        What training minimizes. "auto" is cross-entropy if each sample has one class, and binary
        cross-entropy if ``y`` is an indicator matrix of several labels. ``sknpcnn.losses`` has
        these with their own settings, such as ``CrossEntropy(label_smoothing=0.1)``, and the
        contract for a loss of your own.
    class_weight : dict or "balanced", default=None
        Weights of the classes; classes that are not in the dict have weight 1. "balanced" gives all
        classes the same total weight, by their frequencies in ``y``; in ``partial_fit`` by those
        seen so far. Validation data are weighted as well.
    clip_norm : float, default=None
        Maximum norm of the gradient; longer ones are scaled to it.
    early_stopping : bool, default=False
        Whether to hold out validation data (or use ``X_val``), to stop when they no longer improve,
        and to keep the best epoch. Copies of a sample are held out together. Without it,
        training stops when the training loss no longer improves; if the schedule lowers the rate
        until the last epoch, only when the loss is below ``tol``.
    validation_fraction : float, default=0.1
        Fraction of each class that ``early_stopping`` holds out.
    n_iter_no_change : int or np.inf, default=10
        Training stops after more than this many epochs without improvement.
    tol : float, default=1e-4
        What counts as an improvement.
    scoring : str, callable or None, default="loss"
        What ``early_stopping`` monitors: the validation loss, or a scorer; None for accuracy. A
        scorer that takes no ``sample_weight`` is called without it.
    warm_start : bool, default=False
        Whether ``fit`` continues from the last fit, for up to ``max_iter`` more epochs. Schedules
        continue too: they count all epochs. A fitted classifier, and its pickle, then also holds
        the state of the optimizer, for Adam twice as many values as there are weights.
    checkpoint_dir : str or path, default=None
        Folder in which ``fit`` saves its complete state after every epoch. A fit of
        the same parameters to the same data resumes from there, and ends in the same bits as one
        that was never interrupted; a complete one returns at once. Nothing is ever removed.
        ``partial_fit`` leaves saving to you.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, the order of the samples, dropout and the held-out samples.
    n_jobs : int, default=None
        Number of cores, -1 for all; None for as many as BLAS may use, and for one in the workers
        of a pool. Short fits use threads, long ones processes. The result does not depend on it.
    dtype : {"float32", "float64"}, default=None
        Type to compute in. By default float64 for X of that type, else float32.
    verbose : bool or int, default=0
        1 prints a line per epoch, 2 also shows a progress bar within the epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class labels; for an indicator matrix the indices of its columns.
    n_features_in_ : int
        Values per sample.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X was a data frame.
    image_shape_ : tuple
        (height, width, channels).
    n_iter_ : int
        Epochs run.
    t_ : int
        Samples seen.
    n_layers_ : int
        Layers, the output layer included.
    out_activation_ : str
        "softmax"; for an indicator matrix "logistic".
    loss_ : float
        Training loss of the last epoch.
    best_loss_ : float or None
        Lowest training loss of all epochs; None with ``early_stopping``.
    loss_curve_ : list of float
        Training loss of each epoch.
    validation_scores_ : list of float or None
        Validation score of each epoch, if there were validation data.
    best_validation_score_ : float or None
        Highest validation score, as in MLPClassifier.
    history_ : DataFrame
        One row per epoch: losses, scores, learning rate and seconds; ``partial_fit`` keeps the last
        1,000.

    Notes
    -----
    Weights are drawn at random [1]_ and scaled by measurement on a few training images [2]_. Batch
    normalization [3]_ uses the weighted mean and variance of each mini-batch in training and
    running averages in prediction; dropout [4]_ is only active in training. "adam" is Adam [5]_,
    ``learning_rate="auto"`` one cycle of the learning rate [6]_, and ``residual`` makes blocks with
    a skip connection [7]_.

    The same ``random_state`` and data give the same bits, whatever ``n_jobs`` is. Computation is in
    single precision unless X or ``dtype`` is double precision.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015.
    .. [2] D. Mishkin, J. Matas, "All you need is a good init", ICLR 2016.
    .. [3] S. Ioffe, C. Szegedy, "Batch normalization", ICML 2015.
    .. [4] N. Srivastava et al., "Dropout: a simple way to prevent neural networks from
       overfitting", JMLR 15, 2014.
    .. [5] D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    .. [6] L. N. Smith, N. Topin, "Super-convergence: very fast training of neural networks using
       large learning rates", arXiv:1708.07120, 2017.
    .. [7] K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", CVPR
       2016.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknpcnn import NumpyCNNClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = NumpyCNNClassifier(max_iter=20, random_state=0).fit(X[:1000], y[:1000])
    >>> clf.image_shape_
    (8, 8, 1)
    >>> bool(clf.score(X[1000:], y[1000:]) > 0.9)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = constraints.CLASSIFIER
    _targets: ClassVar[tuple[str, ...]] = "classes", "labels"

    def __init__(
        self,
        conv_filters: Any = "auto",
        *,
        kernel_size: Any = 3,
        pool_size: Any = 2,
        padding: Any = "same",
        residual: Any = "auto",
        global_pooling: Any = "auto",
        hidden_layer_sizes: Any = "auto",
        activation: Any = "relu",
        batch_norm: Any = True,
        dropout: Any = 0.1,
        layers: Any = None,
        image_shape: Any = None,
        solver: Any = "adam",
        learning_rate: Any = "auto",
        learning_rate_init: Any = "auto",
        alpha: Any = 0.0,
        batch_size: Any = "auto",
        max_iter: Any = "auto",
        shuffle: Any = True,
        standardize: Any = True,
        augment: Any = None,
        loss: Any = "auto",
        class_weight: Any = None,
        clip_norm: Any = None,
        early_stopping: Any = False,
        validation_fraction: Any = 0.1,
        n_iter_no_change: Any = 10,
        tol: Any = 1e-4,
        scoring: Any = "loss",
        warm_start: Any = False,
        checkpoint_dir: Any = None,
        random_state: Any = None,
        n_jobs: Any = None,
        dtype: Any = None,
        verbose: Any = 0,
    ) -> None:
        self.conv_filters = conv_filters
        self.kernel_size = kernel_size
        self.pool_size = pool_size
        self.padding = padding
        self.residual = residual
        self.global_pooling = global_pooling
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.batch_norm = batch_norm
        self.dropout = dropout
        self.layers = layers
        self.image_shape = image_shape
        self.solver = solver
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.alpha = alpha
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.standardize = standardize
        self.augment = augment
        self.loss = loss
        self.class_weight = class_weight
        self.clip_norm = clip_norm
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.scoring = scoring
        self.warm_start = warm_start
        self.checkpoint_dir = checkpoint_dir
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.dtype = dtype
        self.verbose = verbose

    @classmethod
    def from_onnx(
        cls,
        model: Any,
        *,
        classes: Any = None,
        output: str | None = None,
        lr_scale: float = 1.0,
        **params: Any,
    ) -> Self:
        """Make a fitted classifier of a network in the ONNX format, which may go on training here.

        Needs ``pip install sknpcnn[onnx]``. ``sknpcnn.onnx.from_onnx`` says what is supported; it
        returns the layers and the weights alone, to build other networks of them.

        Parameters
        ----------
        model : str, path, bytes or onnx.ModelProto
            The model of a classifier for images of a fixed size.
        classes : array-like of shape (n_classes,), default=None
            The label that each output of the model stands for, sorted; None for those that a model
            of this package names, and otherwise for 0, 1, 2 and so on.
        output : str, default=None
            The tensor that holds logits or probabilities; None for the output of the model.
        lr_scale : float, default=1.0
            Factor on the learning rate of all layers but the last one; 0 freezes them.
        **params : dict
            Other parameters of the classifier. ``warm_start`` is True unless it is given, so that
            ``fit`` goes on from these weights.

        Returns
        -------
        clf : NumpyCNNClassifier
            A fitted classifier. The images that it is given must be prepared as those that the
            model was made for.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from sknpcnn import NumpyCNNClassifier
        >>> from sknpcnn.onnx import to_onnx
        >>> X, y = load_digits(return_X_y=True)
        >>> clf = NumpyCNNClassifier(conv_filters=4, max_iter=1).fit(X, y)
        >>> again = NumpyCNNClassifier.from_onnx(to_onnx(clf), max_iter=1)
        >>> bool((again.predict(X) == clf.predict(X)).all())
        True
        >>> again = again.fit(X, y)  # goes on
        """
        onnx = import_module("sknpcnn.onnx.reading.estimators")  # only now: it is optional
        made: Self = onnx.classifier_from_onnx(cls, model, classes, output, lr_scale, **params)
        return made

    @known_keywords
    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train on images and their labels.

        Parameters
        ----------
        X : array-like of shape (n, height, width), (n, height, width, channels) or (n, features)
            The images; uint8 stays uint8, and a memory map stays on disk.
        y : array-like of shape (n,) or (n, n_labels)
            Their labels, of any kind; or an indicator matrix of zeros and ones, with a column for
            each label, if an image may have several.
        sample_weight : array-like of shape (n,), default=None
            Weights of the samples; one of weight 2 counts like a sample given twice, one of weight
            0 like one that is not there. All labels in ``y`` are classes, whatever their weight.
        X_val, y_val, sample_weight_val : array-like, default=None
            Validation data: they are monitored in ``history_``, and with ``early_stopping`` they
            decide when to stop.

        Returns
        -------
        self : NumpyCNNClassifier
            The fitted classifier.

        Raises
        ------
        ValueError, TypeError
            If parameters or data are invalid: before any training, and the classifier
            stays as it was.
        ValueError
            If training diverges, or the score of the validation data is not a number.
        OSError
            If ``checkpoint_dir`` cannot be used.
        """
        estimator.fit(self, X, y, sample_weight, X_val, y_val, sample_weight_val)
        return self

    @known_keywords
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one epoch on a batch of data, continuing from the last call.

        Several calls with the same data give the same model as ``fit`` does with as many epochs and
        the same schedule, to the bit; schedules assume ``max_iter`` calls, and by default the
        rate is constant. With ``batch_norm=True`` pass several samples at a time: a single one has
        no variance. The mean and scale of ``standardize`` come from the first call.
        ``early_stopping`` has no effect, as you decide when to stop; callbacks are not called.
        ``history_`` and similar attributes keep the last 1,000 calls.

        After a ``fit`` it continues with the weights. The state of the optimizer, without which the
        first steps are larger than those before, is kept only if that fit had ``warm_start=True``:
        otherwise a fitted classifier, and its pickle, holds only the weights.

        Parameters
        ----------
        X : array-like of shape (n, height, width), (n, height, width, channels) or (n, features)
            The images.
        y : array-like of shape (n,) or (n, n_labels)
            Their labels.
        classes : array-like of shape (n_classes,), default=None
            All labels that may occur in any call; needed in the first call, but not for an
            indicator matrix, whose columns are its labels.
        sample_weight : array-like of shape (n,), default=None
            Weights of the samples.

        Returns
        -------
        self : NumpyCNNClassifier
            The fitted classifier.
        """
        estimator.partial_fit(self, X, y, sample_weight, classes)
        return self

    def decision_function(self, X: Any) -> Array:
        """Compute the logits of the classes.

        Parameters
        ----------
        X : array-like of shape (n, height, width), (n, height, width, channels) or (n, features)
            The images.

        Returns
        -------
        scores : ndarray of shape (n, n_classes), or (n,) for two classes
            Logits; for two classes their difference, positive for ``classes_[1]``. The logit of
            each label where ``y`` was an indicator matrix.
        """
        model, logits = self._model_and_outputs(X)
        if logits.shape[1] == 2 and fitted.loss_of(model).targets == "classes":
            decision: Array = logits[:, 1] - logits[:, 0]
            return decision
        return logits

    def predict_proba(self, X: Any) -> Array:
        """Compute the probability of each class, or of each label.

        Parameters
        ----------
        X : array-like of shape (n, height, width), (n, height, width, channels) or (n, features)
            The images.

        Returns
        -------
        p : ndarray of shape (n, n_classes)
            Probabilities, in the order of ``classes_``. The rows add up to 1, unless ``y`` was an
            indicator matrix: then each label has a probability of its own.
        """
        model, logits = self._model_and_outputs(X)
        return fitted.loss_of(model).link(logits)

    def predict_log_proba(self, X: Any) -> Array:
        """Compute the logarithm of each class's or label's probability, without underflow.

        Parameters
        ----------
        X : array-like of shape (n, height, width), (n, height, width, channels) or (n, features)
            The images.

        Returns
        -------
        log_p : ndarray of shape (n, n_classes)
            Logarithms of the probabilities.
        """
        model, logits = self._model_and_outputs(X)
        return fitted.loss_of(model).log_link(logits)

    def predict(self, X: Any) -> Array:
        """Predict the label of each image.

        Parameters
        ----------
        X : array-like of shape (n, height, width), (n, height, width, channels) or (n, features)
            The images.

        Returns
        -------
        y : ndarray of shape (n,) or (n, n_labels)
            Labels, or an indicator matrix of those whose probability is above one half.
        """
        model, outputs = self._model_and_outputs(X)
        return fitted.predictions(model, outputs)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        # an indicator matrix has no classes that could be weighed, or that a loss could compare
        labels = self.class_weight is None and losses.takes(self.loss, "labels")
        tags.classifier_tags.multi_label = tags.target_tags.multi_output = labels
        tags.target_tags.single_output = losses.takes(self.loss, "classes")
        return tags
