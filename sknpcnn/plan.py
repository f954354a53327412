"""What is known of a network before it runs: in which order and in which memory its layers work.

A plan is made once for training and once for prediction. It knows which layers run together on a
few samples at a time, who will read what, and down to which layer gradients are needed; so nothing
of this is decided, or could be forgotten, while it runs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from sknpcnn.layers import rewriting
from sknpcnn.layers.base import Array, Arrays, Layer, is_ours
from sknpcnn.layers.rewriting import Folding
from sknpcnn.layers.steps import Shape, Steps, with_shapes


@dataclass(frozen=True, eq=False)
class Node:
    """A layer in its place."""

    name: str
    layer: Layer
    path: tuple[str, ...]
    """The names of the layers that it is in, and its own."""
    shape: Shape
    """Of the sample that it is given."""
    branches: "tuple[Plan, ...]"
    """The plans of the layers in it."""
    passes: bool
    """Whether only the next layer reads what forward returns."""
    passes_back: bool
    """Whether only the layer before it reads what backward returns."""
    needs_dx: bool


@dataclass(frozen=True, eq=False)
class Stretch:
    """Consecutive layers that need no other samples: they run together on a few at a time."""

    names: tuple[str, ...]
    path: tuple[str, ...]
    """The names of the layers that it is in."""
    shape: Shape
    output_shape: Shape
    working_set: int
    """How many elements one of the layers works with for each sample, at most."""
    uncopied: "Plan"
    """The layers, where there is one chunk, and what they make of it is the result."""
    copied: "Plan"
    """The layers, where what they make of a chunk is copied to its place at once."""
    recordable: bool
    passes: bool
    passes_back: bool
    needs_dx: bool

    @property
    def label(self) -> tuple[str, ...]:
        """Say whose memory it uses; others at this place, as in prediction, may use it too."""
        return (*self.path, self.names[0], self.names[-1])


@dataclass(frozen=True, eq=False)
class Plan:
    """A sequence of layers, as it is run."""

    parts: tuple[Node | Stretch, ...]
    foldings: tuple[Folding, ...]
    last: int
    """The first of the parts, that is the last one, which backward has to reach."""
    needs_dx: bool

    def folded(self, params: Arrays, empty: Callable[..., Array]) -> dict[str, Any]:
        """Compute the parameters of a plan for prediction, where some layers are folded."""
        result = rewriting.fold(params, self.foldings, empty)
        for node in self.nodes():
            inside = result.get(node.name, {})
            for branch in node.branches:
                inside = branch.folded(inside, empty)
            if node.branches and inside:
                result[node.name] = inside
        return result

    def nodes(self) -> Iterator[Node]:
        """Walk through its layers."""
        for part in self.parts:
            yield from (part,) if isinstance(part, Node) else part.uncopied.nodes()


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
    """Plan how layers are run on samples of some shape, and all that is in them.

    ``fold`` has batch normalizations become part of other layers (see ``Plan.folded``). ``whole``
    says that the layers see the whole mini-batch, which is then cut up wherever it may be.
    """
    learned = {name for name, layer, s in with_shapes(steps, shape) if layer.parameters(s)}
    run, foldings = rewriting.rewritten(steps, fold)
    groups = [[placed] for placed in with_shapes(run, shape)]
    if whole:
        groups = _stretches(groups, training)
    return _Planner(path, training, fold, whole, needs_dx, learned).plan(groups, tuple(foldings))


_Group = list[tuple[str, Layer, Shape]]
"""Layers that run together, each with the shape that it is given."""


def _stretches(groups: list[_Group], training: bool) -> list[_Group]:
    """Put neighbors together that need no other samples."""
    together: list[_Group] = []
    joins = True
    for group in groups:
        before, joins = joins, group[0][1].whole_batch(training)
        if joins or before:
            together.append([])
        together[-1] += group
    return together


class _Planner(NamedTuple):
    path: tuple[str, ...]
    training: bool
    fold: bool
    whole: bool
    needs_dx: bool
    learned: set[str]

    def plan(
        self, groups: list[_Group], foldings: tuple[Folding, ...] = (), copied: bool = False
    ) -> Plan:
        """Plan groups of layers; what comes out of the last may be copied to its place at once."""
        learning = [
            i for i, group in enumerate(groups) if any(n in self.learned for n, *_ in group)
        ]
        last = 0 if self.needs_dx else min(learning, default=len(groups))
        parts = []
        for i, group in enumerate(groups):
            read_again = not copied
            if i + 1 < len(groups):
                following = groups[i + 1][0][1]
                read_again = following.hints.needs_input or not is_ours(following)
            part = self._stretch if self._is_stretch(group) else self._node
            parts.append(part(group, not read_again, i > 0 or copied, self.needs_dx or i > last))
        return Plan(tuple(parts), foldings, last, self.needs_dx)

    def _is_stretch(self, group: _Group) -> bool:
        return self.whole and not group[0][1].whole_batch(self.training)

    def _node(self, group: _Group, passes: bool, passes_back: bool, needs_dx: bool) -> Node:
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
        passes = passes and is_ours(layer)  # others may keep what they return
        return Node(name, layer, path, shape, branches, passes, passes_back, needs_dx)

    def _stretch(self, group: _Group, passes: bool, passes_back: bool, needs_dx: bool) -> Stretch:
        inside = self._replace(whole=False, needs_dx=needs_dx)
        single = [[placed] for placed in group]
        _, layer, shape = group[-1]
        return Stretch(
            names=tuple(name for name, *_ in group),
            path=self.path,
            shape=group[0][2],
            output_shape=layer.output_shape(shape),
            working_set=max(layer.working_set(s) for _, layer, s in group),
            uncopied=inside.plan(single),
            copied=inside.plan(single, copied=True),
            recordable=all(is_ours(layer, deeply=True) for _, layer, _ in group),
            passes=passes,
            passes_back=passes_back,
            needs_dx=needs_dx,
        )
