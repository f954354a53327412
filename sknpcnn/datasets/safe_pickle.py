"""A safe interpreter for the few pickle instructions that byte arrays need; it executes no code.

A pickle is a program for a virtual machine with a stack and a memo. This implementation of that
machine imports nothing and calls nothing. What a file names, calls or sets a state of becomes a
``Record``, from which other code may build an array after checking it.

A single budget bounds the resources. The number of instructions is limited by the length of the
file. Each instruction creates one value of at most a few hundred bytes, or moves existing values;
or it carries bytes or text, which take at most four times their size in the file. So time and
memory stay within a small multiple of the length of the file.
"""

from collections.abc import Callable
from typing import Any

# A batch of CIFAR-10 needs three to eleven instructions for each image, which has 3,072 pixels.
MIN_INSTRUCTIONS, BYTES_PER_INSTRUCTION = 1000, 100
# Longer bytes are views of the content of the file. Shorter ones are copied, as they may be keys.
MAX_COPIED = 255
MAX_PROTOCOL = 5

NAMES = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.numeric", "_frombuffer"),  # protocol 5
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),  # bytes, as Python 3 writes them in protocol 2
}


class PickleError(ValueError):
    """Raised for an invalid pickle; the message is the end of a sentence about it."""


class Record:
    """Represents an object that a file names, calls with ``args``, or sets a ``state`` of."""

    __slots__ = ("args", "name", "state")

    def __init__(self, name: str, args: tuple[Any, ...] | None = None) -> None:
        self.name, self.args = name, args
        self.state: Any = None


def interpret(raw: bytes) -> Any:
    """Return the content of a pickle: containers, text, integers, records, bytes or views of them.

    Containers may contain each other and themselves: callers must not traverse them without limit.
    """
    machine = _Machine(raw)
    allowed = MIN_INSTRUCTIONS + len(raw) // BYTES_PER_INSTRUCTION
    for _ in range(allowed):
        start, code = machine.position, machine.number(1)
        if code == _STOP:
            if machine.position < len(raw):
                raise PickleError("it continues after its end")
            return machine.pop()
        if code not in _INSTRUCTIONS:
            raise PickleError(f"byte {start} is {bytes([code])!r}, an unexpected instruction")
        _INSTRUCTIONS[code](machine)
    raise PickleError(f"it holds more than {allowed} instructions, too many for {len(raw)} bytes")


class _Machine:
    """The stack, the memo, and the position in the file."""

    def __init__(self, raw: bytes) -> None:
        self.raw, self.position = raw, 0
        self.stack: list[Any] = []
        self.marks: list[int] = []  # the height of the stack at each mark
        self.memo: dict[int, Any] = {}
        self.frame_end = self.n_encoded = 0

    # Arguments of instructions

    def skip(self, n: int) -> int:
        """Advance by n bytes; return where they start."""
        start = self.position
        if n > len(self.raw) - start:
            raise PickleError("it is truncated")
        self.position = start + n
        return start

    def number(self, n: int, signed: bool = False) -> int:
        start = self.skip(n)
        return int.from_bytes(self.raw[start : self.position], "little", signed=signed)

    def content(self, n: int) -> bytes | memoryview:
        start = self.skip(n)
        if n > MAX_COPIED:
            return memoryview(self.raw)[start : self.position]
        return self.raw[start : self.position]

    def line(self) -> str:
        end = self.raw.find(b"\n", self.position)
        if end < 0:
            raise PickleError("it is truncated")
        start = self.skip(end + 1 - self.position)
        return str(self.raw[start:end], "utf-8")

    # The stack

    def top(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise PickleError(f"byte {self.position - 1} pops from an empty stack")
        return self.stack[-1]

    def pop(self) -> Any:
        value = self.top()
        del self.stack[-1]
        return value

    def pop_to_mark(self) -> list[Any]:
        if not self.marks:
            raise PickleError(f"byte {self.position - 1} refers to a missing mark")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    # Instructions of more than one line

    def check_protocol(self) -> None:
        if (protocol := self.number(1)) > MAX_PROTOCOL:
            raise PickleError(f"unsupported pickle protocol: {protocol}")

    def check_frame(self) -> None:
        """Check a frame, which only says how much of the file to read at once."""
        n = self.number(8)
        if self.position < self.frame_end or n > len(self.raw) - self.position:
            raise PickleError("it holds a frame that reaches beyond the file or another frame")
        self.frame_end = self.position + n

    def get(self, key: int) -> None:
        if key not in self.memo:
            raise PickleError(f"it refers to value {key}, which it has not stored")
        self.stack.append(self.memo[key])

    def push_tuple(self, n: int) -> None:
        self.stack.append(tuple(reversed([self.pop() for _ in range(n)])))

    def extend(self, values: list[Any]) -> None:
        target = self.top()
        if type(target) is not list:
            raise PickleError("it appends to an object that is not a list")
        target.extend(values)

    def set_items(self, values: list[Any]) -> None:
        target = self.top()
        keys = values[::2]
        if type(target) is not dict or len(values) % 2:
            raise PickleError("it sets keys of an object that is not a dictionary")
        if not all(type(key) in (str, bytes) for key in keys):
            raise PickleError("it holds a dictionary whose keys are not strings")
        target.update(zip(keys, values[1::2], strict=True))

    def push_name(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str or (module, name) not in NAMES:
            raise PickleError(
                f"it holds {f'{module}.{name}'[:80]!r}, which no CIFAR-10 batch does"
                if type(module) is type(name) is str
                else "it holds a name that is not text"
            )
        self.stack.append(Record(name))

    def call(self) -> None:
        args, function = self.pop(), self.pop()
        if type(function) is not Record or function.args is not None or type(args) is not tuple:
            raise PickleError("it calls an object that is not a function, or without arguments")
        if function.name == "encode":
            self.stack.append(self.encoded(args))
        else:
            self.stack.append(Record(function.name, args))

    def encoded(self, args: tuple[Any, ...]) -> bytes:
        if len(args) != 2 or type(args[0]) is not str or args[1] != "latin1":
            raise PickleError("it holds text in an unexpected encoding")
        self.n_encoded += len(args[0])
        if self.n_encoded > len(self.raw):  # the same text may be encoded repeatedly
            raise PickleError(f"it encodes more than its {len(self.raw)} bytes")
        return args[0].encode("latin1")

    def build(self) -> None:
        state, target = self.pop(), self.top()
        if type(target) is not Record or target.args is None:
            raise PickleError("it sets a state of an object that has none")
        target.state = state


def _push(value: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    """Return an instruction that pushes a value."""

    def instruction(machine: _Machine) -> None:
        machine.stack.append(value(machine))

    return instruction


def _put(key: Callable[[_Machine], int]) -> Callable[[_Machine], None]:
    """Return an instruction that stores the top of the stack in the memo."""

    def instruction(machine: _Machine) -> None:
        machine.memo[key(machine)] = machine.top()

    return instruction


_STOP = ord(".")
_INSTRUCTIONS: dict[int, Callable[[_Machine], None]] = {
    0x80: _Machine.check_protocol,
    0x95: _Machine.check_frame,
    # the memo
    ord("q"): _put(lambda m: m.number(1)),
    ord("r"): _put(lambda m: m.number(4)),
    0x94: _put(lambda m: len(m.memo)),
    ord("h"): lambda m: m.get(m.number(1)),
    ord("j"): lambda m: m.get(m.number(4)),
    # values
    ord("N"): _push(lambda m: None),
    0x88: _push(lambda m: True),
    0x89: _push(lambda m: False),
    ord("J"): _push(lambda m: m.number(4, signed=True)),
    ord("K"): _push(lambda m: m.number(1)),
    ord("M"): _push(lambda m: m.number(2)),
    ord("T"): _push(lambda m: m.content(m.number(4))),  # str of Python 2
    ord("U"): _push(lambda m: m.content(m.number(1))),
    ord("B"): _push(lambda m: m.content(m.number(4))),
    ord("C"): _push(lambda m: m.content(m.number(1))),
    0x96: _push(lambda m: m.content(m.number(8))),  # a bytearray
    ord("X"): _push(lambda m: str(m.content(m.number(4)), "utf-8")),
    0x8C: _push(lambda m: str(m.content(m.number(1)), "utf-8")),
    # containers
    ord("("): lambda m: m.marks.append(len(m.stack)),
    ord(")"): _push(lambda m: ()),
    0x85: lambda m: m.push_tuple(1),
    0x86: lambda m: m.push_tuple(2),
    0x87: lambda m: m.push_tuple(3),
    ord("t"): _push(lambda m: tuple(m.pop_to_mark())),
    ord("]"): _push(lambda m: []),
    ord("a"): lambda m: m.extend([m.pop()]),
    ord("e"): lambda m: m.extend(m.pop_to_mark()),
    ord("}"): _push(lambda m: {}),
    ord("s"): lambda m: m.set_items([m.pop(), m.pop()][::-1]),
    ord("u"): lambda m: m.set_items(m.pop_to_mark()),
    # names, calls, states
    ord("c"): lambda m: m.push_name(m.line(), m.line()),
    0x93: lambda m: m.push_name(*[m.pop(), m.pop()][::-1]),
    ord("R"): _Machine.call,
    ord("b"): _Machine.build,
}
