"""Writes layers, optimizers and other specs as people write them in a program, for diagrams."""

from dataclasses import MISSING, fields
from typing import Any

from sknpcnn._values.brief import brief
from sknpcnn.spec import Spec, holds_specs, is_default, unnamed

MAX_WRITTEN = 30
"""How many items of a list are written out."""


def written(value: Any) -> str:
    """Return a value as one writes it in a program, such as ``[Conv2D(32), ReLU()]``.

    Examples
    --------
    >>> from sknpcnn._estimator.writing import written
    >>> from sknpcnn.layers import Conv2D, ReLU, Residual
    >>> written([Conv2D(32, 5), Residual([ReLU()])])
    '[Conv2D(32, kernel_size=5), Residual([ReLU()])]'
    """
    if isinstance(value, Spec) and type(value).__repr__ is Spec.__repr__:
        return f"{type(value).__name__}({', '.join(arguments(value))})"
    if not holds_specs(value) or type(value) not in (list, tuple):
        return brief(value)
    items = [_written_item(item) for item in list(unnamed(value))[:MAX_WRITTEN]]
    if len(value) > MAX_WRITTEN:
        items.append(f"... {len(value)} in all")
    return f"[{', '.join(items)}]"


def _written_item(item: Any) -> str:
    return written(item) if isinstance(item, Spec) else f"({item[0]!r}, {written(item[1])})"


def arguments(spec: Spec, nested: bool = True) -> list[str]:
    """Return the arguments that make a spec as one writes them; without ``nested`` no specs."""
    found: list[str] = []
    by_position = True
    for field in fields(spec):
        value = getattr(spec, field.name, None)
        holds = isinstance(value, Spec) or holds_specs(value)
        required = field.default is MISSING and field.default_factory is MISSING
        by_position &= not field.kw_only and (required or holds_specs(value))
        if (nested or not holds) and (required or not is_default(value, field)):
            found.append(written(value) if by_position else f"{field.name}={written(value)}")
    return found
