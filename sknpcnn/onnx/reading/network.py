"""Makes layers and weights of ONNX models that other programs have written."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from sknpcnn._values.brief import brief
from sknpcnn.layers import Flatten, Layer, Sigmoid
from sknpcnn.layers.steps import Steps, parameters
from sknpcnn.onnx.reading.folding import fold
from sknpcnn.onnx.reading.functions import OPERATORS
from sknpcnn.onnx.reading.model import Model, Source, described, read_model
from sknpcnn.onnx.reading.nesting import Made, Nesting, check_supported, join
from sknpcnn.onnx.reading.pieces import Piece
from sknpcnn.onnx.reading.tensors import Tensor
from sknpcnn.onnx.reading.translating import JOINS, translate
from sknpcnn.spec import named

Array = np.ndarray
Image = tuple[int, int, int]


@dataclass(frozen=True)
class Imported:
    """A network from elsewhere, as ``from_onnx`` returns it; as a pair, its layers and its weights.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.onnx import from_onnx, to_onnx
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = NumpyCNNClassifier(conv_filters=4, max_iter=1).fit(X.reshape(-1, 8, 8), y)
    >>> imported = from_onnx(to_onnx(clf))
    >>> imported.image_shape, imported.link, imported.output_size
    ((8, 8, 1), 'softmax', 10)
    """

    layers: list[tuple[str, Layer]]
    """For ``layers=``, named."""
    weights: dict[str, Array]
    """For ``set_weights``, by name."""
    image_shape: Image
    """The shape of an image, (height, width, channels)."""
    link: str
    """What follows the last layer: "softmax", "logistic" or "identity"."""
    output_size: int
    """The number of outputs for one image."""
    order: Array | None
    """The output of the model that each output here is, if their order differs."""
    metadata: dict[str, str]
    """What the model says about itself."""

    def __iter__(self) -> Iterator[Any]:
        return iter((self.layers, self.weights))


def from_onnx(model: Model, *, output: str | None = None, lr_scale: float = 1.0) -> Imported:
    """Read the layers and weights of a network from an ONNX model.

    The model is not trusted: sizes are checked, and nothing is read but the file and the external
    data that it names in its own folder.

    Parameters
    ----------
    model : str, path, bytes or onnx.ModelProto
        The model: a sequence of layers, or residual and other blocks, for images of a fixed size.
    output : str, default=None
        The tensor at which the network ends; None for the output of the model. With that of an
        earlier tensor the network is cut off there.
    lr_scale : float, default=1.0
        Factor on the learning rate of all its layers; 0 freezes them, so that only layers that are
        added to them will be trained.

    Returns
    -------
    imported : Imported
        ``layers, weights = from_onnx(...)``; it also has ``image_shape``. The layers include the
        output layer, if they are those of a whole classifier, but no softmax.

    Raises
    ------
    ValueError
        If the model is damaged, or has something that is not supported; the error names the node.
    OSError
        If the file cannot be read.

    See Also
    --------
    sknpcnn.NumpyCNNClassifier.from_onnx : A classifier that predicts what the model does.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.onnx import from_onnx, to_onnx
    >>> X, y = load_digits(return_X_y=True)
    >>> model = to_onnx(NumpyCNNClassifier(conv_filters=4, max_iter=1).fit(X, y))
    >>> layers, weights = from_onnx(model)
    >>> [name for name, _ in layers]
    ['scale_1', 'conv2d_1', 'relu_1', 'maxpool2d_1', 'flatten_1', 'dense_1']
    """
    source = read_model(model, output)
    values: dict[str, Any] = dict(source.constants)
    start, first = _input(source)
    values[source.input_name] = start
    made: dict[str, Made] = {}
    for node in source.nodes:
        missing = next((name for name in node.input if name and name not in values), None)
        if missing is not None:  # all nodes come in order, so that it is not the first output
            raise ValueError(
                f"{described(node)} reads {brief(missing)}, a second output of a node."
            )
        inputs: list[Any] = [values[name] if name else None for name in node.input]
        computed = [name for name in node.input if isinstance(values.get(name), Tensor)]
        name = node.output[0]
        if node.op_type == "Shape" and computed:
            values[name] = np.array(inputs[0].model_shape, np.int64)
        elif not computed:
            values[name] = fold(node, inputs)
        elif len(computed) == 1:
            x = values[computed[0]]
            pieces, values[name] = translate(node, inputs, x, lr_scale)
            made[name] = Made(node, computed, pieces, values[name])
        else:
            if node.op_type not in JOINS and node.op_type not in OPERATORS:
                raise ValueError(f"{described(node)} has several computed inputs.")
            tensors = [values[name] for name in computed]
            values[name] = join(node, tensors)
            made[name] = Made(node, computed, [], values[name])
    constants = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    nesting = Nesting(made, source.input_name, constants, lr_scale)
    pieces = first + nesting.between(source.input_name, source.output_name)
    link = _link(pieces)
    if link != "identity":  # which is not a layer here
        pieces.pop()
    check_supported(pieces)
    layers = list(named([piece.layer for piece in pieces], "layers", Layer))
    image = _image_of(start)
    weights = dict(_weights(pieces, layers, ""))
    _check_shapes(layers, image, weights)
    end = values[source.output_name]
    return Imported(layers, weights, image, link, prod(end.shape), end.order, source.metadata)


def _input(source: Source) -> tuple[Tensor, list[Piece]]:
    """Return how the input lies, and what is done first."""
    sizes = source.input_shape
    if None in sizes:
        raise ValueError(
            f"Input {source.input_name!r} has the shape {sizes}, some sizes of which are free; "
            "needed: images of a fixed size. Export the model for one size, with the number of "
            "images as its only free axis."
        )
    fixed: tuple[int, ...] = tuple(size for size in sizes if size is not None)
    if len(fixed) == 2:
        return Tensor("gray", (*fixed, 1)), []
    later = _first_turn(source)
    if len(fixed) == 3:
        if later in ("channels last", (1, *fixed[:2])):
            return Tensor("channels last", fixed), []
        channels, h, w = fixed
        return Tensor("channels first", (h, w, channels)), []
    if isinstance(later, tuple):
        return Tensor("rows", later), []
    reader = next(node for node in source.nodes if source.input_name in node.input)
    return Tensor("vector", fixed), [Piece(Flatten(), {}, reader)]


def _first_turn(source: Source) -> Any:
    """Return what the first node that is no arithmetic says about the input.

    "channels last" if it moves the channels to the front; the new shape if it reshapes to images.
    """
    name = source.input_name
    for node in source.nodes:
        if name not in node.input:
            continue
        if node.op_type == "Transpose":
            return "channels last"
        if node.op_type == "Reshape":
            shape = [int(size) for size in source.constants.get(node.input[1], ())]
            if len(shape) == 4:
                return tuple(shape[1:]) if min(shape[1:]) > 0 else None
            return None
        if node.op_type not in ("Sub", "Add", "Mul", "Div", "Cast", "Identity"):
            return None
        name = node.output[0]
    return None


def _image_of(start: Tensor) -> Image:
    if start.is_image:
        h, w, channels = start.shape
        return h, w, channels
    return 1, start.shape[0], 1


def _link(pieces: list[Piece]) -> str:
    """Return what follows the last layer."""
    if not pieces:
        return "identity"
    last = pieces[-1]
    if last.layer is None and last.node.op_type in ("Softmax", "LogSoftmax"):
        return "softmax"
    return "logistic" if last.layer == Sigmoid() else "identity"


def _weights(pieces: list[Piece], steps: Steps, prefix: str) -> Iterator[tuple[str, Array]]:
    """Iterate over the parameters of pieces by the names of their layers."""
    for piece, (name, layer) in zip(pieces, steps, strict=True):
        path = f"{prefix}{name}."
        for key, values in piece.params.items():
            yield path + key, np.ascontiguousarray(values, np.float32)
        for part, branch in zip(piece.parts, layer.branches, strict=True):
            yield from _weights(part, branch, path)


def _check_shapes(layers: Steps, image: Image, weights: dict[str, Array]) -> None:
    """Raise unless the weights are those of the layers."""
    expected = {name: p.shape for name, p in parameters(layers, image).items()}
    found = {name: array.shape for name, array in weights.items()}
    if expected != found:
        wrong = [name for name in {**expected, **found} if expected.get(name) != found.get(name)]
        raise ValueError(
            f"The model's weights do not fit its layers: {wrong[0]} has the shape "
            f"{found.get(wrong[0])}; needed: {expected.get(wrong[0])}."
        )
