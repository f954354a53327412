"""How a network is executed: a static plan of the order and the memory of its layers.

There is one plan for training and one for prediction. It says which layers run together on a few
samples at a time, which layer reads what, and down to which layer gradients are needed, so that
nothing of this has to be decided while the network runs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from sknpcnn.layers import rewriting
from sknpcnn.layers.base import Array, Arrays, Layer, is_builtin
from sknpcnn.layers.rewriting import Folding
from sknpcnn.layers.steps import Shape, Steps, with_shapes


@dataclass(frozen=True, eq=False)
class Node:
    """A layer and its position in the network."""

    name: str
    layer: Layer
    path: tuple[str, ...]
    """The names of the enclosing layers, and its own."""
    shape: Shape
    """Shape of one input sample."""
    branches: "tuple[Plan, ...]"
    """The plans of the nested layers."""
    transient_output: bool
    """Whether only the next layer reads the result of forward."""
    transient_gradient: bool
    """Whether only the previous layer reads the result of backward."""
    needs_dx: bool


@dataclass(frozen=True, eq=False)
class Segment:
    """Consecutive layers that treat samples independently: they run on a few at a time."""

    names: tuple[str, ...]
    path: tuple[str, ...]
    """The names of the enclosing layers."""
    shape: Shape
    output_shape: Shape
    working_set: int
    """The most elements per sample that one of the layers works on at once."""
    single_chunk: "Plan"
    """The layers if there is one chunk, whose result is that of the segment."""
    chunked: "Plan"
    """The layers if there are several chunks, whose results are copied into place at once."""
    recordable: bool
    transient_output: bool
    transient_gradient: bool
    needs_dx: bool

    @property
    def memory_key(self) -> tuple[str, ...]:
        """The key of its memory, which other plans, as that for prediction, share."""
        return (*self.path, self.names[0], self.names[-1])


@dataclass(frozen=True, eq=False)
class Plan:
    """A sequence of layers as it is executed."""

    parts: tuple[Node | Segment, ...]
    foldings: tuple[Folding, ...]
    backward_stop: int
    """Index of the first part, which is the last one that backward has to run."""
    needs_dx: bool

    def fold_parameters(self, params: Arrays, empty: Callable[..., Array]) -> dict[str, Any]:
        """Compute the parameters of a plan for prediction, in which some layers are folded."""
        result = rewriting.fold_parameters(params, self.foldings, empty)
        for node in self.nodes():
            inside = result.get(node.name, {})
            for branch in node.branches:
                inside = branch.fold_parameters(inside, empty)
            if node.branches and inside:
                result[node.name] = inside
        return result

    def nodes(self) -> Iterator[Node]:
        """Iterate over its layers."""
        for part in self.parts:
            yield from (part,) if isinstance(part, Node) else part.single_chunk.nodes()


def plan(
    steps: Steps,
    shape: Shape,
    training: bool,
    *,
    fold: bool = False,
    path: tuple[str, ...] = (),
    whole: bool = True,
    needs_dx: bool = False,
) -> Plan:
    """Plan how layers, and those nested in them, are executed on samples of some shape.

    ``fold`` folds batch normalizations into other layers (see ``Plan.fold_parameters``). ``whole``
    says that the layers see the whole mini-batch, which is then split into chunks where possible.
    """
    trainable = {name for name, layer, s in with_shapes(steps, shape) if layer.parameters(s)}
    run, foldings = rewriting.rewrite(steps, fold)
    groups = [[placed] for placed in with_shapes(run, shape)]
    if whole:
        groups = _segments(groups, training)
    return _Planner(path, training, fold, whole, needs_dx, trainable).plan(groups, tuple(foldings))


_Group = list[tuple[str, Layer, Shape]]
"""Layers that run together, each with the shape of its input."""


def _segments(groups: list[_Group], training: bool) -> list[_Group]:
    """Merge neighboring layers that treat samples independently."""
    merged: list[_Group] = []
    separate = True
    for group in groups:
        before, separate = separate, group[0][1].whole_batch(training)
        if separate or before:
            merged.append([])
        merged[-1] += group
    return merged


class _Planner(NamedTuple):
    path: tuple[str, ...]
    training: bool
    fold: bool
    whole: bool
    needs_dx: bool
    trainable: set[str]

    def plan(
        self, groups: list[_Group], foldings: tuple[Folding, ...] = (), chunked: bool = False
    ) -> Plan:
        """Plan groups of layers; with ``chunked``, the last result is copied at once."""
        trained = [
            i for i, group in enumerate(groups) if any(n in self.trainable for n, *_ in group)
        ]
        backward_stop = 0 if self.needs_dx else min(trained, default=len(groups))
        parts = []
        for i, group in enumerate(groups):
            read_again = not chunked
            if i + 1 < len(groups):
                following = groups[i + 1][0][1]
                read_again = following.hints.needs_input or not is_builtin(following)
            part = self._segment if self._is_segment(group) else self._node
            parts.append(
                part(group, not read_again, i > 0 or chunked, self.needs_dx or i > backward_stop)
            )
        return Plan(tuple(parts), foldings, backward_stop, self.needs_dx)

    def _is_segment(self, group: _Group) -> bool:
        return self.whole and not group[0][1].whole_batch(self.training)

    def _node(
        self, group: _Group, transient_output: bool, transient_gradient: bool, needs_dx: bool
    ) -> Node:
        ((name, layer, shape),) = group
        path = (*self.path, name)
        branches = tuple(
            plan(
                steps,
                shape,
                self.training,
                fold=self.fold,
                path=path,
                whole=self.whole,
                needs_dx=needs_dx,
            )
            for steps in layer.branches
        )
        transient_output = transient_output and is_builtin(
            layer
        )  # others may keep what they return
        return Node(
            name, layer, path, shape, branches, transient_output, transient_gradient, needs_dx
        )

    def _segment(
        self, group: _Group, transient_output: bool, transient_gradient: bool, needs_dx: bool
    ) -> Segment:
        inside = self._replace(whole=False, needs_dx=needs_dx)
        single = [[placed] for placed in group]
        _, layer, shape = group[-1]
        return Segment(
            names=tuple(name for name, *_ in group),
            path=self.path,
            shape=group[0][2],
            output_shape=layer.output_shape(shape),
            working_set=max(layer.working_set(s) for _, layer, s in group),
            single_chunk=inside.plan(single),
            chunked=inside.plan(single, chunked=True),
            recordable=all(is_builtin(layer, recursive=True) for _, layer, _ in group),
            transient_output=transient_output,
            transient_gradient=transient_gradient,
            needs_dx=needs_dx,
        )
