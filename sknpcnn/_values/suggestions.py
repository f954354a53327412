"""Suggestions in errors about misspelled names and names of other libraries.

They are only suggested, not accepted: readers would have to look up two spellings of one thing.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from functools import wraps
from inspect import signature
from typing import Any, Self, TypeVar, cast

from sknpcnn._values.brief import brief

MAX_LISTED = 20
"""The most names that an error lists if none is similar."""

INSTANCES = {
    "relu": "ReLU()", "leaky_relu": "LeakyReLU()", "elu": "ELU()", "gelu": "GELU()",
    "silu": "SiLU()", "tanh": "Tanh()", "logistic": "Sigmoid()", "identity": "Identity()",
    "sgd": "SGD()", "adam": "Adam()", "adamw": "AdamW()", "rmsprop": "RMSprop()",
    "adadelta": "Adadelta()", "adagrad": "Adagrad()",
    "constant": "Constant()", "adaptive": "ReduceOnPlateau()",
    "cross_entropy": "CrossEntropy()", "binary_cross_entropy": "BinaryCrossEntropy()",
    "focal": "Focal()", "squared_error": "SquaredError()", "absolute_error": "AbsoluteError()",
    "huber": "Huber()", "quantile": "Quantile()", "poisson": "Poisson()",
}  # fmt: skip
"""The objects that names stand for, where an object is needed."""

SYNONYMS = {
    "sigmoid": "logistic", "linear": "identity", "none": "identity", "swish": "silu",
    "zeros": "same", "plateau": "adaptive", "reducelronplateau": "adaptive",
    "fixed": "constant", "crossentropy": "cross_entropy", "logloss": "cross_entropy",
    "categoricalcrossentropy": "cross_entropy", "sparsecategoricalcrossentropy": "cross_entropy",
    "bce": "binary_cross_entropy", "mse": "squared_error", "meansquarederror": "squared_error",
    "mae": "absolute_error", "meanabsoluteerror": "absolute_error",
    "float": "float32", "double": "float64",
}  # fmt: skip
"""Names in other libraries, lower-case and alphanumeric, and their equivalents here."""

_SOLVER = "solver=SGD({name}={value})"
_ADAM = "solver=Adam({name}={value})"
_RATE = "learning_rate_init={value}"
_L2 = "alpha={value}, or solver=AdamW(weight_decay={value})"
_VALIDATION = "fit(X, y, X_val=..., y_val=...)"
_NETWORK = {
    **dict.fromkeys(["epochs", "n_epochs", "num_epochs", "max_epochs"], "max_iter={value}"),
    **dict.fromkeys(["lr", "eta", "eta0", "learning_rate_value"], _RATE),
    **dict.fromkeys(["momentum", "nesterov"], _SOLVER),
    "nesterovs_momentum": "solver=SGD(momentum=0.9, nesterov={value})",
    **dict.fromkeys(["beta_1", "beta_2", "epsilon"], _ADAM),
    "power_t": "learning_rate=ExponentialDecay()",
    **dict.fromkeys(["weight_decay", "l2", "regularization"], _L2),
    "optimizer": "solver={value}",
    "validation_data": _VALIDATION,
    "validation_split": "early_stopping=True, validation_fraction={value}",
    "patience": "early_stopping=True, n_iter_no_change={value}",
    "callbacks": "set_callbacks({value})",
    "metrics": "scoring={value}",
    "monitor": "scoring={value}",
    **dict.fromkeys(["seed", "random_seed"], "random_state={value}"),
    **dict.fromkeys(["device", "num_workers", "workers"], "n_jobs, as all runs on the CPU"),
    **dict.fromkeys(["filters", "n_filters", "channels"], "conv_filters={value}"),
    **dict.fromkeys(["units", "hidden_units", "hidden_sizes"], "hidden_layer_sizes={value}"),
    **dict.fromkeys(["pooling", "global_pool"], "global_pooling=True"),
    **dict.fromkeys(["input_shape", "input_size"], "image_shape={value}"),
    **dict.fromkeys(["transforms", "data_augmentation"], "augment=[Shift(2)]"),
    **dict.fromkeys(["normalize", "scale"], "standardize={value}"),
    "label_smoothing": "loss=CrossEntropy(label_smoothing={value})",
    **dict.fromkeys(["criterion", "objective", "loss_function"], "loss={value}"),
    **dict.fromkeys(["model", "architecture", "network"], "layers={value}"),
}
_FIT = {
    **dict.fromkeys(["epochs", "n_epochs"], "max_iter={value}, a parameter of the estimator"),
    **dict.fromkeys(["batch_size", "shuffle"], "{name}={value} as a parameter of the estimator"),
    **dict.fromkeys(["verbose", "class_weight"], "{name}={value} as a parameter of the estimator"),
    **dict.fromkeys(["validation_data", "eval_set"], _VALIDATION),
    "validation_split": "early_stopping=True, validation_fraction={value} in the estimator",
    "callbacks": "set_callbacks({value}) before fit",
    **dict.fromkeys(["weights", "sample_weights"], "sample_weight={value}"),
}
_LAYER = {
    "activation": "{instance} as a separate layer after it",
    **dict.fromkeys(["strides"], "stride={value}"),
    **dict.fromkeys(["out_channels", "n_filters", "channels"], "filters={value}"),
    **dict.fromkeys(["out_features", "n_units"], "units={value}"),
    **dict.fromkeys(["kernel", "window"], "kernel_size={value}"),
    **dict.fromkeys(["pool_size"], "size={value}"),
    "p": "rate={value}",
    "use_bias": "bias={value}",
    "eps": "epsilon={value}",
    **dict.fromkeys(["alpha", "negative_slope"], "slope={value}"),
    **dict.fromkeys(["dilation_rate"], "dilation={value}"),
    **dict.fromkeys(
        ["input_shape", "in_channels", "in_features", "num_features", "input_dim"],
        "nothing: fit infers the shape of the input",
    ),
    **dict.fromkeys(["kernel_regularizer", "weight_decay"], "alpha=... in the classifier"),
    "trainable": "lr_scale=0, which freezes it",
    "name": "a pair ({value}, layer) in the list",
}
_OPTIMIZER = {
    **dict.fromkeys(
        ["lr", "learning_rate", "learning_rate_init"],
        "learning_rate_init={value} in the classifier, beside solver",
    ),
    "betas": "beta_1=..., beta_2=...",
    "beta1": "beta_1={value}",
    "beta2": "beta_2={value}",
    "eps": "epsilon={value}",
    "alpha": "rho={value}",
    "weight_decay": "alpha={value} in the classifier, or AdamW(weight_decay={value})",
    **dict.fromkeys(["clipnorm", "max_norm"], "clip_norm={value} in the classifier"),
}
_AUGMENTATION = {
    **dict.fromkeys(["p", "probability"], "rate={value}"),
    **dict.fromkeys(["degree", "angle", "rotation"], "degrees={value}"),
    "scale": "zoom={value}",
    "translate": "shift={value}",
    **dict.fromkeys(["brightness", "contrast", "factor"], "amount={value}"),
}
_SCHEDULE = {
    **dict.fromkeys(["gamma", "decay_rate"], "factor={value}"),
    **dict.fromkeys(["step_size", "milestones"], "epochs={value}"),
    **dict.fromkeys(["eta_min", "min_lr"], "final, as a fraction of the first rate"),
    **dict.fromkeys(["max_lr", "lr"], "learning_rate_init={value} in the classifier"),
    "warmup_steps": "warmup, in epochs",
    **dict.fromkeys(["T_max", "n_epochs"], "max_iter={value} in the classifier"),
}
_LOSS = {
    **dict.fromkeys(["smoothing", "epsilon"], "label_smoothing={value}"),
    **dict.fromkeys(["alpha", "q", "quantile", "tau"], "level={value}"),
    **dict.fromkeys(["beta", "threshold"], "delta={value}"),
    **dict.fromkeys(["weight", "class_weight"], "class_weight={value} in the classifier"),
    "reduction": "nothing: it is the weighted mean over each mini-batch",
    "from_logits": "nothing: outputs are logits",
}
KEYWORDS: dict[str, Mapping[str, str]] = {
    "NetworkMixin": _NETWORK,
    "fit": _FIT,
    "Layer": _LAYER,
    "Optimizer": _OPTIMIZER,
    "Augmentation": _AUGMENTATION,
    "Schedule": _SCHEDULE,
    "Loss": _LOSS,
}
"""Keywords of other libraries, by class or method, and their equivalents here."""


class KnownKeywords:
    """Base of classes that suggest a keyword when they get an unknown one.

    A base class does not hide the signature: ``inspect.signature``, and so every editor, prefers a
    class's own ``__init__`` to an inherited ``__new__``.
    """

    def __new__(cls, *_args: Any, **keywords: Any) -> Self:
        """Raise TypeError if a keyword is not a parameter, with a suggestion."""
        # fields first: inspecting a signature is slow
        usual: set[str] = {field.name for field in fields(cls)} if is_dataclass(cls) else set()
        if not keywords.keys() <= usual and (known := _parameters(cls)) is not None:
            check_keywords(cls.__name__, keywords, known, foreign_keywords(cls))
        return super().__new__(cls)


Method = TypeVar("Method", bound=Callable[..., Any])


def known_keywords(method: Method) -> Method:
    """Make a method raise TypeError with a suggestion for an unknown keyword."""
    known = [name for name in signature(method).parameters if name != "self"]

    @wraps(method)
    def checked(self: Any, *args: Any, **keywords: Any) -> Any:
        if not keywords.keys() <= set(known):
            owner = f"{type(self).__name__}.{method.__name__}"
            check_keywords(owner, keywords, known, KEYWORDS["fit"])
        return method(self, *args, **keywords)

    return cast(Method, checked)


def _parameters(cls: type) -> Collection[str] | None:
    """Return the parameters of a class's ``__init__``; None if it takes any keyword."""
    parameters = signature(cls).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return None
    return list(parameters)


def foreign_keywords(cls: type) -> Mapping[str, str]:
    """Return the keywords of other libraries for a class, and their equivalents here."""
    tables = [KEYWORDS.get(kind.__name__, {}) for kind in cls.__mro__]
    return {name: hint for table in reversed(tables) for name, hint in table.items()}


def check_keywords(
    owner: str, given: Mapping[str, Any], known: Collection[str], others: Mapping[str, str]
) -> None:
    """Raise TypeError with a suggestion if a keyword is unknown."""
    for name, value in given.items():
        if name not in known:
            instead = suggest_keyword(name, value, known, others)
            raise TypeError(f"{owner}() got an unexpected keyword argument {name!r}{instead}")


def suggest_keyword(
    name: str, value: Any, known: Collection[str], others: Mapping[str, str]
) -> str:
    """Return the end of an error about an unknown keyword: a suggestion, or all known ones."""
    if (hint := others.get(name)) is not None:
        shown = {"name": name, "value": brief(value), "instance": instance_of(value) or "ReLU()"}
        return f". Did you mean {hint.format(**shown)}?"
    if near := nearest(name, known):
        return f". Did you mean {' or '.join(near)}?"
    if not known:
        return "; needed: none, it has no parameters."
    if len(known) > MAX_LISTED:
        return f"; needed: one of the {len(known)} names that get_params() lists."
    return f"; needed: one of {', '.join(sorted(known))}."


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return the most similar names, the best match first."""
    plain = {other: _normalized(other) for other in known}
    exact = [other for other, text in plain.items() if text == _normalized(name)]
    if exact:
        return exact[:1]
    texts = get_close_matches(_normalized(name), [*plain.values()], count, cutoff=0.7)
    return list(dict.fromkeys(other for text in texts for other in plain if plain[other] == text))


def did_you_mean(word: Any, known: Collection[str]) -> str:
    """Return the end of an error about a value: a similar word, if any."""
    if not isinstance(word, str):
        return ""
    synonym = SYNONYMS.get(_normalized(word))
    near = [synonym] if synonym in known else nearest(word, known, 1)
    return f" Did you mean {near[0]!r}?" if near else ""


def instance_of(word: Any) -> str:
    """Return the call that makes the object with this name, such as a layer; "" if unknown."""
    if not isinstance(word, str):
        return ""
    near = nearest(SYNONYMS.get(_normalized(word), word), INSTANCES, 1)
    return INSTANCES[near[0]] if near else ""


def _normalized(name: str) -> str:
    """Return a name in lower case, alphanumeric only: "Leaky-ReLU" becomes "leakyrelu"."""
    return "".join(c for c in name.casefold() if c.isalnum())
