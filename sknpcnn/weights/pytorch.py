"""Weights from PyTorch, and back: by module or state dict, none of which this imports."""

import re
from collections.abc import Mapping
from math import prod
from os import PathLike
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sknpcnn._estimator import fitted
from sknpcnn._values.brief import brief
from sknpcnn.layers import Flatten, Layer
from sknpcnn.layers.steps import shapes
from sknpcnn.spec import named
from sknpcnn.weights.safetensors import read_safetensors
from sknpcnn.weights.slots import Slot, slots

Array = np.ndarray
Image = tuple[int, int, int]

COUNTER = "num_batches_tracked"


def from_torch(source: Any, layers: Any, image_shape: Image) -> dict[str, Array]:
    """Turn the weights of a PyTorch module into those of the same layers here.

    The tensors of each module are matched with the layers by order and shape: each layer gets the
    first module that is left and has its shapes. Kernels and matrices are turned, the first dense
    layer after flattening is put into our order, and running averages come along.

    Parameters
    ----------
    source : torch.nn.Module, state dict, or path of a safetensors file
        Where the weights come from.
    layers : list of layers or of (name, layer) pairs
        The same network as for ``NumpyCNNClassifier(layers=...)``, without the output layer.
    image_shape : (height, width, channels)
        The shape of an image.

    Returns
    -------
    weights : dict
        Arrays by name, for ``set_weights``. The last linear module becomes the output layer.

    Raises
    ------
    ValueError
        If tensors are missing or left over; the error names the first one.

    See Also
    --------
    to_torch_state_dict : The way back.

    Examples
    --------
    >>> import numpy as np
    >>> from sknpcnn.layers import Conv2D, Flatten, ReLU
    >>> from sknpcnn.weights import from_torch
    >>> state = {"conv.weight": np.zeros((4, 1, 3, 3)), "conv.bias": np.zeros(4)}
    >>> state |= {"fc.weight": np.zeros((10, 256)), "fc.bias": np.zeros(10)}
    >>> weights = from_torch(state, [Conv2D(4), ReLU(), Flatten()], (8, 8, 1))
    >>> weights["conv2d_1.W"].shape, weights["output.W"].shape
    ((3, 3, 1, 4), (256, 10))
    """
    state = _state_of(source)
    steps = list(named(layers, "layers", Layer))
    matched = _match(slots(_with_output(steps, image_shape, state), image_shape), state)
    return {
        f"{slot.path}.{key}": np.ascontiguousarray(slot.here(key, state[name]))
        for slot, names in matched
        for key, name in names.items()
    }


def to_torch_state_dict(estimator: Any, module: Any) -> dict[str, Any]:
    """Turn the weights of a fitted estimator into a state dict for the same network in PyTorch.

    What ``standardize`` does is no part of the network: give the module standardized images,
    ``(X - mean) * scale``.

    Parameters
    ----------
    estimator : NumpyCNNClassifier or NumpyCNNRegressor
        A fitted estimator.
    module : torch.nn.Module or state dict
        The same network in PyTorch, whose names and kinds of tensors are used; it is not modified.

    Returns
    -------
    state : dict
        For ``module.load_state_dict``.

    See Also
    --------
    from_torch : The way here.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sknpcnn import NumpyCNNClassifier
    >>> from sknpcnn.layers import Flatten
    >>> from sknpcnn.weights import to_torch_state_dict
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = NumpyCNNClassifier(layers=[Flatten()], max_iter=1).fit(X, y)
    >>> state = {"0.weight": np.zeros((10, 64)), "0.bias": np.zeros(10)}  # module.state_dict()
    >>> to_torch_state_dict(clf, state)["0.weight"].shape
    (10, 64)
    """
    check_is_fitted(estimator, "_theta")
    own = module if isinstance(module, Mapping) else module.state_dict()
    state, weights = _state_of(own), estimator.get_weights()
    network = fitted.network_of(estimator)
    result = dict(own)
    for slot, names in _match(slots(network.steps, network.image), state):
        for key, name in names.items():
            array = slot.there(key, weights[f"{slot.path}.{key}"])
            array = np.ascontiguousarray(array.reshape(state[name].shape))
            make = getattr(own[name], "new_tensor", np.asarray)
            result[name] = make(array)
    return result


def _state_of(source: Any) -> dict[str, Array]:
    """Return tensors by name as arrays, without counters."""
    if isinstance(source, str | PathLike):
        if not str(source).endswith(".safetensors"):
            raise ValueError(
                f"from_torch is given the file {brief(source)}; needed: one that ends in "
                ".safetensors. Others are pickles: load them with PyTorch, if you trust them."
            )
        state: Any = read_safetensors(source)
        state = {name: state[name] for name in sorted(state, key=_natural)}
    else:
        state = source if isinstance(source, Mapping) else source.state_dict()
    return {name: _array(t) for name, t in state.items() if not name.endswith(COUNTER)}


def _natural(name: str) -> list[Any]:
    """Sort numbers in names by their value: such files are sorted by the alphabet."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _array(tensor: Any) -> Array:
    if hasattr(tensor, "detach"):  # a tensor; numpy has no bfloat16
        tensor = tensor.detach().cpu().float().numpy()
    return np.asarray(tensor)


def _with_output(steps: list[Any], image: Image, state: dict[str, Array]) -> list[Any]:
    """Add the layers that fit adds: flattening, and the output layer."""
    from sknpcnn.layers import Dense

    shape = shapes(steps, image)[-1]
    if len(shape) == 3:
        steps = [*steps, ("flatten", Flatten())]
    matrices = [name for name, array in state.items() if array.ndim in (2, 4)]
    if not matrices:
        raise ValueError("There are no matrices among the tensors.")
    fitting = [name for name in matrices if prod(state[name].shape[1:]) == prod(shape)]
    last = (fitting or matrices)[-1]
    bias = last.removesuffix("weight") + "bias" in state
    return [*steps, ("output", Dense(state[last].shape[0], bias))]


def _match(wanted: list[Slot], state: dict[str, Array]) -> list[tuple[Slot, dict[str, str]]]:
    """Find the tensors of each slot; raise an error that names the first one that does not fit."""
    groups: dict[str, dict[str, Array]] = {}
    for name, array in state.items():
        module, _, leaf = name.rpartition(".")
        groups.setdefault(module, {})[leaf] = array
    matched = []
    for slot in wanted:
        fitting = [module for module, tensors in groups.items() if _fits(slot, tensors)]
        if not fitting:
            raise ValueError(_nothing_fits(slot, groups))
        module = fitting[0]
        del groups[module]
        prefix = f"{module}." if module else ""
        matched.append((slot, {key: prefix + leaf for key, leaf in slot.names.items()}))
    for module, tensors in groups.items():
        leaf, array = next(iter(tensors.items()))
        raise ValueError(
            f"The tensor {brief(f'{module}.{leaf}')} of shape {array.shape} is left over: no layer "
            "has its shape."
        )
    return matched


def _fits(slot: Slot, tensors: dict[str, Array]) -> bool:
    """Return whether a module has exactly the tensors of a slot."""
    if set(tensors) != set(slot.names.values()):
        return False
    for key, leaf in slot.names.items():
        shape, wanted = tensors[leaf].shape, slot.shape_there(key)
        if shape != wanted and not (len(wanted) == 2 and shape == (*wanted, 1, 1)):
            return False
    return True


def _nothing_fits(slot: Slot, groups: dict[str, dict[str, Array]]) -> str:
    needed = {leaf: slot.shape_there(key) for key, leaf in slot.names.items()}
    left = [f"{m}.{leaf} {array.shape}" for m, t in groups.items() for leaf, array in t.items()]
    return (
        f"Layer {brief(slot.path)} needs tensors of the shapes {needed}, which no module has that "
        f"is left; the next one is {left[0] if left else 'none'}."
    )
