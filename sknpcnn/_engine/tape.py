"""Recorded NumPy calls of a chunk, replayed in later steps without the Python code around them.

A training step makes the same NumPy calls on the same memory as the step before; only the values
differ. So while a chunk runs for the second time, its arrays are ``RecordingArray``, which log each
call that they execute. From then on the tape is replayed instead of the layers' code. That saves
the time in which Python finds out what to call. As a thread holds the interpreter's lock for that
time, replaying is also what lets a second thread run.

A tape may be replayed only where it does what the code would do. Three rules ensure that:

* Every array that a call reads or writes must be in *stable* memory: the engine's, or that of the
  parameters and their gradients. Any other array, wherever it comes from, makes the tape unusable.
* The inputs of the task must be at the same addresses; a ``TapeSet`` holds the tapes of one task
  for one such layout. Backward is replayed only on the cache that a replayed forward returns.
* A new array, a value read from an array, or random bits cannot be recorded. Code can bypass the
  methods of a NumPy array, or branch on values it read from one. So only layers of this package are
  recorded, which do neither.
"""

from collections.abc import Callable, Iterator
from functools import partial
from threading import local
from typing import Any

import numpy as np

from sknpcnn._kernels.memory import CONSTANT, owner_of, root_of

Array = np.ndarray

_recording = local()


class Tape:
    """A list of calls, and the result of the chunk.

    A call is a function and its arguments, by position: the fewer objects it is made of, the less
    often Python looks for garbage while thousands of calls are recorded.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self.unrecordable = False
        self.result: Any = None

    def record(
        self,
        task: Callable[..., Any],
        inputs: list[Any],
        outputs: list[Any],
        is_stable: Callable[[Array], bool],
    ) -> Any:
        """Run a task on nested arrays that it reads and writes, and record its calls."""
        outer = vars(_recording).copy()  # a signal handler that predicts may interrupt it
        _recording.tape, _recording.is_stable = self, is_stable
        try:
            self.result = as_plain(task(*map(as_recording, inputs), *map(as_recording, outputs)))
        finally:
            vars(_recording).clear()
            vars(_recording).update(outer)
        if not _is_stable_result(self.result, is_stable):
            self.unrecordable = True
        if self.unrecordable:
            self.calls.clear()
        return self.result

    def replay(self) -> Any:
        """Execute the recorded calls again."""
        for function, arguments in self.calls:
            function(*arguments)
        return self.result


SEEN_ONCE, UNRECORDABLE = Tape(), Tape()
"""Placeholders: for a task that has run once, and for one that cannot be recorded."""


class TapeSet:
    """The tapes of one task, by chunk and thread, for one memory layout.

    The layout holds the addresses, shapes, strides and dtypes of all inputs of the task.
    """

    def __init__(self, layout: tuple[Any, ...]) -> None:
        self.layout = layout
        self.tapes: dict[Any, Tape] = {}
        self.trees: tuple[Any, ...] = ()
        """The very objects that had this layout last; they need not be looked at again."""

    def is_for(self, trees: tuple[Any, ...]) -> bool:
        """Return whether these are the objects that had this layout last."""
        same = len(trees) == len(self.trees)
        return same and all(a is b for a, b in zip(trees, self.trees, strict=True))


class Tapes:
    """The tapes of one engine, and the memory that is stable for them."""

    def __init__(self) -> None:
        self.owner = object()
        """Owner of the engine's memory; not the engine itself, which that would keep alive."""
        self.generation = 0
        """Increases when stable memory moves, which invalidates all tapes."""
        self._tape_sets: dict[tuple[Any, ...], TapeSet] = {}
        self._vectors: dict[str, Array] = {}

    def __iter__(self) -> Iterator[Tape]:
        for tape_set in list(self._tape_sets.values()):
            yield from list(tape_set.tapes.values())

    def register(self, **vectors: Array) -> None:
        """Declare the memory of parameters and gradients stable."""
        for name, vector in vectors.items():
            if self._vectors.get(name) is not vector:
                self._vectors[name] = vector
                self.invalidate()

    def is_stable(self, array: Array) -> bool:
        """Return whether an array is in memory that keeps its address."""
        owner = owner_of(array)
        if owner is not None:
            return owner is self.owner or owner is CONSTANT
        root = root_of(array)
        return any(root is root_of(vector) for vector in self._vectors.values())

    def known(self, key: tuple[Any, ...]) -> TapeSet | None:
        """Return the tapes of a task for the last layout."""
        return self._tape_sets.get(key)

    def tape_set(self, key: tuple[Any, ...], layout: tuple[Any, ...]) -> TapeSet:
        """Return the tapes of a task for a layout, or a new set of them."""
        tape_set = self._tape_sets.get(key)
        if tape_set is None or tape_set.layout != layout:
            tape_set = self._tape_sets[key] = TapeSet(layout)
        return tape_set

    def invalidate(self) -> None:
        """Drop all tapes, as after stable memory has moved."""
        self.generation += 1
        self._tape_sets.clear()


class RecordingArray(np.ndarray):
    """An array that records the operations on it."""

    def __getattribute__(self, name: str) -> Any:
        if name not in _VALUE_FREE:
            mark_unrecordable()
        return super().__getattribute__(name)

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        function, arguments = getattr(ufunc, method), as_plain(inputs)
        options = as_plain(options) if options else options
        if out is None or out[0] is None or out[-1] is None:
            mark_unrecordable()
            return function(
                *arguments, **options, **({} if out is None else {"out": as_plain(out)})
            )
        call: tuple[Callable[..., Any], tuple[Any, ...]]
        if method == "__call__" and not options and ufunc not in _OUT_BY_NAME:
            call = ufunc, (*arguments, *as_plain(out))
        elif method == "reduce" and options.keys() == {"axis"}:
            call = function, (*arguments, options["axis"], None, *as_plain(out))
        else:
            call = partial(function, **options, out=as_plain(out)), arguments
        _run_and_record(*call)
        return out[0] if len(out) == 1 else out

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func is np.einsum and kwargs.keys() == {"out"}:
            _run_and_record(partial(np.einsum, out=as_plain(kwargs["out"])), as_plain(args))
            return kwargs["out"]
        mark_unrecordable()
        return super().__array_function__(func, types, args, kwargs)

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        if not _is_view(part, self):
            mark_unrecordable()
        return part

    def __setitem__(self, key: Any, value: Any) -> None:
        target = as_plain(self)[key]
        # a scalar, or a copy by fancy indexing
        if not _is_view(target, self):
            mark_unrecordable()
            as_plain(self)[key] = as_plain(value)
            return
        _run_and_record(np.copyto, (target, as_plain(value), "unsafe"))  # as an assignment casts

    def reshape(self, *args: Any, **kwargs: Any) -> Any:
        """Reshape; a copy cannot be recorded."""
        result = super().reshape(*args, **kwargs)
        if not np.may_share_memory(as_plain(result), as_plain(self)):
            mark_unrecordable()
        return result

    def view(self, *args: Any, **kwargs: Any) -> Any:
        """View as another data type; a view as an ordinary array cannot be recorded."""
        result = super().view(*args, **kwargs)
        if type(result) is not RecordingArray:
            mark_unrecordable()
        return result


_OUT_BY_NAME = {np.maximum, np.minimum}
"""Functions that take their output by its name only, as somebody might mean a third input."""

_VALUE_FREE = {
    *("shape", "dtype", "ndim", "size", "itemsize", "nbytes", "strides", "flags", "T"),
    *("reshape", "transpose", "swapaxes", "squeeze", "view", "__class__"),
}
"""Attributes that do not depend on values, and methods that return views of the same type."""


def _is_view(part: Any, whole: Array) -> bool:
    """Return whether a part of an array is a view of it, neither a scalar nor a copy."""
    if not isinstance(part, np.ndarray):
        return False
    return np.asarray(part).size == 0 or np.may_share_memory(np.asarray(part), np.asarray(whole))


def _unrecordable_method(name: str) -> Callable[..., Any]:
    def method(self: RecordingArray, *args: Any, **kwargs: Any) -> Any:
        mark_unrecordable()
        return getattr(as_plain(self), name)(*args, **kwargs)

    return method


# Python looks these up on the class, without __getattribute__.
for _name in (
    *("__bool__", "__int__", "__float__", "__complex__", "__index__", "__contains__"),
    *("__format__", "__str__", "__repr__", "__copy__", "__deepcopy__", "__reduce_ex__"),
):
    setattr(RecordingArray, _name, _unrecordable_method(_name))


def mark_unrecordable() -> None:
    """Note that the task does something that cannot be replayed."""
    if (tape := getattr(_recording, "tape", None)) is not None:
        tape.unrecordable = True


def as_recording(tree: Any) -> Any:
    """View the arrays in nested tuples, lists and dictionaries as ``RecordingArray``."""
    return _map_arrays(lambda array: array.view(RecordingArray), tree)


def as_plain(tree: Any) -> Any:
    """View the arrays in nested tuples, lists and dictionaries as ordinary arrays."""
    return _map_arrays(np.asarray, tree)


def _map_arrays(change: Callable[[Array], Array], tree: Any) -> Any:
    if isinstance(tree, np.ndarray):
        return change(tree)
    if isinstance(tree, dict):
        return {name: _map_arrays(change, branch) for name, branch in tree.items()}
    if isinstance(tree, tuple) and type(tree) is not tuple and hasattr(tree, "_make"):
        return tree._make(_map_arrays(change, branch) for branch in tree)
    if type(tree) in (tuple, list):
        branches = [
            change(branch) if isinstance(branch, np.ndarray) else _map_arrays(change, branch)
            for branch in tree
        ]
        return branches if type(tree) is list else tuple(branches)
    return tree


def arrays_in(tree: Any) -> Iterator[Array]:
    """Iterate over the arrays in nested tuples, lists and dictionaries."""
    if isinstance(tree, np.ndarray):
        yield tree
    elif isinstance(tree, (tuple, list)):
        for branch in tree:
            if isinstance(branch, np.ndarray):
                yield branch
            else:
                yield from arrays_in(branch)
    elif isinstance(tree, dict):
        for branch in tree.values():
            yield from arrays_in(branch)


def holds_only_arrays(tree: Any) -> bool:
    """Return whether nested dictionaries hold only arrays."""
    if isinstance(tree, dict):
        return all(map(holds_only_arrays, tree.values()))
    return isinstance(tree, np.ndarray)


def _is_stable_result(tree: Any, is_stable: Callable[[Array], bool]) -> bool:
    """Return whether a result is made of known types, with all arrays in stable memory."""
    if isinstance(tree, np.ndarray):
        return is_stable(tree)
    if isinstance(tree, (tuple, list)):
        return all(_is_stable_result(branch, is_stable) for branch in tree)
    if isinstance(tree, dict):
        return all(_is_stable_result(branch, is_stable) for branch in tree.values())
    return tree is None or isinstance(tree, (bool, int, float, str, np.generic, np.dtype))


def memory_layout(array: Array) -> tuple[Any, ...]:
    """Return address, shape, strides and dtype of an array."""
    return array.ctypes.data, array.shape, array.strides, array.dtype


def _run_and_record(function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Run a call; record it, unless one of its arrays may be elsewhere in the next step."""
    function(*arguments)
    if (tape := getattr(_recording, "tape", None)) is None or tape.unrecordable:
        return
    options = function.keywords if isinstance(function, partial) else ()
    if all(map(_recording.is_stable, arrays_in((arguments, options)))):
        tape.calls.append((function, arguments))
    else:
        tape.unrecordable = True
