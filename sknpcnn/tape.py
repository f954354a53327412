"""What a chunk does, written down once and done again: NumPy's calls without the code around them.

A training step makes the same NumPy calls on the same memory as the step before; only the values
differ. So while a chunk runs for the second time, its arrays are ``Recorded``: they do what is
asked of them and write it down. From then on the tape is played instead of the layers' code. That
saves the time which Python takes to find out what to call; and as a thread holds the interpreter's
lock for that time, it is what lets a second thread get on with its work.

A tape may only be played where it would do what the code does. Three things see to that:

* Every array that a call reads or writes must lie in memory that *stays*: the engine's, or that of
  the parameters and their gradients. Any other array, whatever way it came, spoils the tape.
* Whatever the task is given from outside must lie where it lay; a ``Reel`` holds the tapes of one
  task for one such situation. Backward is played only on the cache that a played forward returns.
* What cannot be written down spoils the tape: a new array, a value read out of an array, random
  bits. There are ways around a NumPy array that it knows nothing of, and a layer may decide by what
  it found on one. So only the layers of this package are recorded, which do neither.
"""

from collections.abc import Callable, Iterator
from threading import local
from typing import Any

import numpy as np

from sknpcnn.kernels.memory import CONSTANT, owner_of, root_of

Array = np.ndarray

_recording = local()


class Tape:
    """A list of calls, and what the chunk returned."""

    def __init__(self) -> None:
        self.calls: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = []
        self.spoiled = False
        self.result: Any = None

    def record(
        self,
        task: Callable[..., Any],
        given: list[Any],
        written: list[Any],
        stays: Callable[[Array], bool],
    ) -> Any:
        """Run a task on nested arrays that it reads and writes, and write down what it does."""
        outer = vars(_recording).copy()  # a signal handler that predicts may interrupt a recording
        _recording.tape, _recording.stays = self, stays
        try:
            self.result = plain(task(*map(recorded, given), *map(recorded, written)))
        finally:
            vars(_recording).clear()
            vars(_recording).update(outer)
        if not _lies_open(self.result, stays):
            self.spoiled = True
        if self.spoiled:
            self.calls.clear()
        return self.result

    def play(self) -> Any:
        """Do it again."""
        for function, arguments, options in self.calls:
            function(*arguments, **options)
        return self.result


NEW, SPOILED = Tape(), Tape()
"""In the place of a tape: what has been met once, and what cannot be recorded."""


class Reel:
    """The tapes of one task, by chunk and thread, for one situation.

    The situation tells where everything lies that the task is given from outside.
    """

    def __init__(self, situation: tuple[Any, ...]) -> None:
        self.situation = situation
        self.tapes: dict[Any, Tape] = {}


class Tapes:
    """The tapes of one engine, and the memory that they may rely upon."""

    def __init__(self) -> None:
        self.owner = object()
        """Whose the memory of the engine is; not the engine itself, which it would keep alive."""
        self.moves = 0
        """How often some of it has moved, after which no tape is valid any more."""
        self._reels: dict[tuple[Any, ...], Reel] = {}
        self._vectors: dict[str, Array] = {}

    def __iter__(self) -> Iterator[Tape]:
        for reel in list(self._reels.values()):
            yield from list(reel.tapes.values())

    def rely_on(self, **vectors: Array) -> None:
        """Note where the parameters and their gradients lie: tapes may read and write there."""
        for name, vector in vectors.items():
            if self._vectors.get(name) is not vector:
                self._vectors[name] = vector
                self.forget()

    def stays(self, array: Array) -> bool:
        """Return whether an array lies in memory that will be in the same place the next time."""
        owner = owner_of(array)
        if owner is not None:
            return owner is self.owner or owner is CONSTANT
        root = root_of(array)
        return any(root is root_of(vector) for vector in self._vectors.values())

    def reel(self, key: tuple[Any, ...], situation: tuple[Any, ...]) -> Reel:
        """Return the tapes of a task in a situation: those that there are, or room for new ones."""
        reel = self._reels.get(key)
        if reel is None or reel.situation != situation:
            reel = self._reels[key] = Reel(situation)
        return reel

    def forget(self) -> None:
        """Forget all tapes: something that they rely upon has moved."""
        self.moves += 1
        self._reels.clear()


class Recorded(np.ndarray):
    """An array that writes down what is done with it."""

    def __getattribute__(self, name: str) -> Any:
        if name not in _HARMLESS:
            spoil()
        return super().__getattribute__(name)

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        function = getattr(ufunc, method)
        arguments, options = plain(inputs), plain(options)
        if out is None or any(array is None for array in out):
            spoil()
            return function(*arguments, **options, **({} if out is None else {"out": plain(out)}))
        options["out"] = plain(out)
        function(*arguments, **options)
        _write_down(function, arguments, options)
        return out[0] if len(out) == 1 else out

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        spoil()
        return super().__array_function__(func, types, args, kwargs)

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        if not _is_view(part, self):
            spoil()
        return part

    def __setitem__(self, key: Any, value: Any) -> None:
        target = plain(self)[key]
        # single values, or a copy of places that are picked one by one
        if not _is_view(target, self):
            spoil()
            plain(self)[key] = plain(value)
            return
        np.copyto(target, plain(value), casting="unsafe")  # as an assignment does
        _write_down(np.copyto, (target, plain(value)), {"casting": "unsafe"})

    def reshape(self, *args: Any, **kwargs: Any) -> Any:
        """Reshape; a copy spoils the tape."""
        result = super().reshape(*args, **kwargs)
        if not np.may_share_memory(plain(result), plain(self)):
            spoil()
        return result

    def view(self, *args: Any, **kwargs: Any) -> Any:
        """View as another data type; a view as an ordinary array spoils the tape."""
        result = super().view(*args, **kwargs)
        if type(result) is not Recorded:
            spoil()
        return result


_HARMLESS = {
    *("shape", "dtype", "ndim", "size", "itemsize", "nbytes", "strides", "flags", "T"),
    *("reshape", "transpose", "swapaxes", "squeeze", "view", "__class__"),
}
"""Attributes that tell nothing of the values, and methods that return views of the same kind."""


def _is_view(part: Any, whole: Array) -> bool:
    """Return whether a part of an array is a view of it: not a value, nor a copy."""
    if not isinstance(part, np.ndarray):
        return False
    return np.asarray(part).size == 0 or np.may_share_memory(np.asarray(part), np.asarray(whole))


def _spoiling(name: str) -> Callable[..., Any]:
    def method(self: Recorded, *args: Any, **kwargs: Any) -> Any:
        spoil()
        return getattr(plain(self), name)(*args, **kwargs)

    return method


# Python looks for these on the class, past __getattribute__.
for _name in (
    *("__bool__", "__int__", "__float__", "__complex__", "__index__", "__contains__"),
    *("__format__", "__str__", "__repr__", "__copy__", "__deepcopy__", "__reduce_ex__"),
):
    setattr(Recorded, _name, _spoiling(_name))


def spoil() -> None:
    """Note that what happens now cannot be played again."""
    if (tape := getattr(_recording, "tape", None)) is not None:
        tape.spoiled = True


def recorded(tree: Any) -> Any:
    """View the arrays in nested tuples, lists and dictionaries as ``Recorded``."""
    return _mapped(lambda array: array.view(Recorded), tree)


def plain(tree: Any) -> Any:
    """View the arrays in nested tuples, lists and dictionaries as ordinary ones."""
    return _mapped(np.asarray, tree)


def _mapped(change: Callable[[Array], Array], tree: Any) -> Any:
    if isinstance(tree, np.ndarray):
        return change(tree)
    if isinstance(tree, dict):
        return {name: _mapped(change, branch) for name, branch in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_make"):
        return tree._make(_mapped(change, branch) for branch in tree)
    if type(tree) in (tuple, list):
        return type(tree)(_mapped(change, branch) for branch in tree)
    return tree


def arrays_in(tree: Any) -> Iterator[Array]:
    """Walk through the arrays in nested tuples, lists and dictionaries."""
    if isinstance(tree, np.ndarray):
        yield tree
    elif isinstance(tree, (tuple, list)):
        for branch in tree:
            yield from arrays_in(branch)
    elif isinstance(tree, dict):
        for branch in tree.values():
            yield from arrays_in(branch)


def holds_only_arrays(tree: Any) -> bool:
    """Return whether nested dictionaries hold arrays and nothing else."""
    if isinstance(tree, dict):
        return all(map(holds_only_arrays, tree.values()))
    return isinstance(tree, np.ndarray)


def _lies_open(tree: Any, stays: Callable[[Array], bool]) -> bool:
    """Return whether all arrays of a result can be found in it, and lie in memory that stays."""
    if isinstance(tree, np.ndarray):
        return stays(tree)
    if isinstance(tree, (tuple, list)):
        return all(_lies_open(branch, stays) for branch in tree)
    if isinstance(tree, dict):
        return all(_lies_open(branch, stays) for branch in tree.values())
    return tree is None or isinstance(tree, (bool, int, float, str, np.generic, np.dtype))


def place_of(array: Array) -> tuple[Any, ...]:
    """Tell where an array lies, and how."""
    return array.ctypes.data, array.shape, array.strides, array.dtype


def _write_down(function: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Note a call, unless one of its arrays may lie elsewhere the next time."""
    if (tape := getattr(_recording, "tape", None)) is None:
        return
    if not all(map(_recording.stays, arrays_in((arguments, options)))):
        tape.spoiled = True
    if not tape.spoiled:
        tape.calls.append((function, arguments, options))
