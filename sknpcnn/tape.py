"""What a chunk does, written down once and done again: NumPy's calls without the code around them.

A training step makes the same NumPy calls on the same memory as the step before; only the numbers
differ. So while a chunk runs for the first time, its arrays are ``Recorded``: they do what is asked
of them and write it down. From then on the tape is played instead of the layers' code. That saves
the time which Python takes to find out what to call; and as a thread holds the interpreter's lock
for that time, it is what lets a second thread get on with its work.

A layer is recorded only if it says that it is ``replayable``. What cannot be written down spoils
the tape: a new array instead of one from the context, a number read out of an array, random bits.
"""

from collections.abc import Callable
from threading import local
from typing import Any

import numpy as np

_recording = local()


class Tape:
    """A list of calls, and what the chunk returned."""

    def __init__(self) -> None:
        self.calls: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = []
        self.spoiled = False
        self.result: Any = None

    def record(self, task: Callable[[], Any]) -> Any:
        """Run a task, whose arrays are ``Recorded``, and write down what it does."""
        _recording.tape = self
        try:
            self.result = plain(task())
        finally:
            _recording.tape = None
        return self.result

    def play(self) -> Any:
        """Do it again."""
        for function, arguments, options in self.calls:
            function(*arguments, **options)
        return self.result


NEW, SPOILED = Tape(), Tape()
"""In the place of a tape: what has been met once, and what cannot be recorded."""


class Recorded(np.ndarray):
    """An array that writes down what is done with it."""

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        function = getattr(ufunc, method)
        arguments = plain(inputs)
        if out is None:
            spoil()
            return function(*arguments, **options)
        options["out"] = plain(out)
        function(*arguments, **options)
        _write_down(function, arguments, options)
        return out[0]

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        spoil()
        return super().__array_function__(func, types, args, kwargs)

    def __setitem__(self, key: Any, value: Any) -> None:
        target = plain(self)[key]
        if target.base is None:  # not a view: the key is an array, or picks a single number
            spoil()
            plain(self)[key] = plain(value)
            return
        np.copyto(target, plain(value))
        _write_down(np.copyto, (target, plain(value)), {})

    def reshape(self, *args: Any, **kwargs: Any) -> Any:
        """Reshape; a copy spoils the tape."""
        result = super().reshape(*args, **kwargs)
        if not np.may_share_memory(plain(result), plain(self)):
            spoil()
        return result


def _spoiling(name: str) -> Callable[..., Any]:
    def method(self: Recorded, *args: Any, **kwargs: Any) -> Any:
        spoil()
        return getattr(plain(self), name)(*args, **kwargs)

    return method


for _name in (
    *("__bool__", "__int__", "__float__", "__complex__", "__index__", "item", "tolist", "tobytes"),
    *("copy", "astype", "flatten", "ravel", "take", "repeat", "dot", "fill", "sort", "nonzero"),
    *("argmax", "argmin", "argsort", "choose", "compress", "searchsorted", "partition", "put"),
):
    setattr(Recorded, _name, _spoiling(_name))


def spoil() -> None:
    """Note that what happens now cannot be played again."""
    if (tape := getattr(_recording, "tape", None)) is not None:
        tape.spoiled = True


def recorded(tree: Any) -> Any:
    """View the arrays in nested dictionaries as ``Recorded``."""
    if tree is None:
        return None
    if isinstance(tree, np.ndarray):
        return tree.view(Recorded)
    return {name: recorded(branch) for name, branch in tree.items()}


def plain(tree: Any) -> Any:
    """View the arrays in nested tuples and lists as ordinary ones."""
    if isinstance(tree, Recorded):
        return tree.view(np.ndarray)
    if isinstance(tree, (tuple, list)):
        return type(tree)(map(plain, tree))
    return tree


def _write_down(function: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    if (tape := getattr(_recording, "tape", None)) is not None:
        tape.calls.append((function, arguments, options))
