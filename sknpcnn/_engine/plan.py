"""How a network is executed: a static plan of the order and the memory of its layers.

There is one plan for training and one for prediction. It says which layers run together on a few
samples at a time, which layer reads what, and down to which layer gradients are needed, so that
nothing of this has to be decided while the network runs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sknpcnn._engine.unfold import Placed, similar, unfold
from sknpcnn.layers import rewriting
from sknpcnn.layers.base import Array, Arrays, Layer, is_builtin
from sknpcnn.layers.forks import arity
from sknpcnn.layers.moments import Moments, Normalize
from sknpcnn.layers.rewriting import Folding
from sknpcnn.layers.steps import Shape, Steps, with_shapes


@dataclass(frozen=True, eq=False)
class Node:
    """A layer and its position in the network."""

    names: tuple[str, ...]
    """Its name in the plan, or several where a composite layer is unfolded."""
    layer: Layer
    path: tuple[str, ...]
    """The names of all enclosing layers, and its own."""
    shape: Shape
    """Shape of one input sample."""
    n_inputs: int
    n_outputs: int
    """How many arrays on top of the stack it replaces by how many; see ``layers.forks``."""
    branches: "tuple[Plan, ...]"
    """The plans of the nested layers."""
    transient_output: bool
    """Whether only the next layer reads the result of forward."""
    transient_gradient: bool
    """Whether only the previous layer reads the result of backward."""
    needs_dx: bool
    into_target: bool
    """Whether it writes its result to where that of the segment belongs itself."""


@dataclass(frozen=True, eq=False)
class Segment:
    """Consecutive layers that treat samples independently: they run on a few at a time."""

    names: tuple[tuple[str, ...], ...]
    """Those of the layers that compute gradients of parameters, or have none."""
    path: tuple[str, ...]
    """The names of the enclosing layers."""
    memory_key: tuple[Any, ...]
    """The key of its memory, which other plans, as that for prediction, share."""
    shape: Shape
    output_shape: Shape
    working_set: int
    """The most elements per sample that one of the layers works on at once, by which the
    mini-batch is cut into chunks."""
    single_chunk: "Plan"
    """The layers if there is one chunk, whose result is that of the segment."""
    chunked: "Plan"
    """The layers if there are several chunks, whose results are copied into place at once."""
    recordable: bool
    notes: "Notes | None"
    hands_over: bool
    """Whether each chunk keeps its result for the next segment, which is cut alike."""
    forked: bool
    """Whether it ends between a fork and its join, so that it has to hand over."""
    transient_output: bool
    transient_gradient: bool
    needs_dx: bool


class Notes(NamedTuple):
    """What the chunks of a segment note for when all have met; see ``layers.moments``."""

    path: tuple[str, ...]
    names: tuple[str, ...]
    """Those of the last layer of the segment, whose gradients are those of all chunks."""
    size: int


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
            (name,) = node.names  # nothing is unfolded for prediction
            inside = result.get(name, {})
            for branch in node.branches:
                inside = branch.fold_parameters(inside, empty)
            if node.branches and inside:
                result[name] = inside
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
    run, foldings = rewriting.rewrite(steps, fold, training)
    if whole and training:
        groups = [[placed] for placed in unfold(run, shape)]
    else:
        groups = [[Placed((name,), *placed)] for name, *placed in with_shapes(run, shape)]
    if whole:
        groups = _segments(groups, training)
    trainable = set(_trainable(steps, shape))
    return _Planner(path, training, fold, whole, needs_dx, trainable).plan(groups, tuple(foldings))


def _trainable(steps: Steps, shape: Shape) -> Iterator[tuple[str, ...]]:
    """Find the layers with parameters, and those in them."""
    for name, layer, s in with_shapes(steps, shape):
        if layer.parameters(s):
            yield (name,)
            for branch in layer.branches:
                yield from ((name, *names) for names in _trainable(branch, s))


_Group = list[Placed]
"""Layers that run together."""


def _segments(groups: list[_Group], training: bool) -> list[_Group]:
    """Merge neighboring layers that treat samples independently."""
    merged: list[_Group] = []
    ended = True
    for group in groups:
        layer = group[0].layer
        separate = layer.whole_batch(training)
        if separate or ended:
            merged.append([])
        merged[-1] += group
        ended = separate or type(layer) is Moments
    return merged


class _Planner(NamedTuple):
    path: tuple[str, ...]
    training: bool
    fold: bool
    whole: bool
    needs_dx: bool
    trainable: set[tuple[str, ...]]

    def plan(
        self, groups: list[_Group], foldings: tuple[Folding, ...] = (), chunked: bool = False
    ) -> Plan:
        """Plan groups of layers; with ``chunked``, the last result is copied at once."""
        trained = [
            i
            for i, group in enumerate(groups)
            if any(n in self.trainable and type(layer) is not Moments for n, layer, _ in group)
        ]
        backward_stop = 0 if self.needs_dx else min(trained, default=len(groups))
        parts: list[Node | Segment] = []
        depth = 0
        for i, group in enumerate(groups):
            read_again = not chunked
            if i + 1 < len(groups):
                following = groups[i + 1][0].layer
                read_again = following.hints.needs_input or not is_builtin(following)
                if chunked and type(following) is Moments:
                    read_again = False  # but from where the result of the segment belongs
            read_twice = i > 0 and _forks(groups[i - 1][-1].layer)
            transient_gradient = (i > 0 or chunked) and not read_twice
            flags = not read_again, transient_gradient, self.needs_dx or i > backward_stop
            if self._is_segment(group):
                for placed in group:
                    n_inputs, n_outputs = arity(placed.layer)
                    depth += n_outputs - n_inputs
                parts.append(self._segment(group, *flags, depth > 0))
            else:
                halved = type(group[0].layer) in (Moments, Normalize)
                parts.append(self._node(group, *flags, chunked and halved))
        return Plan(tuple(_cut_alike(parts)), foldings, backward_stop, self.needs_dx)

    def _is_segment(self, group: _Group) -> bool:
        return self.whole and not group[0].layer.whole_batch(self.training)

    def _node(
        self,
        group: _Group,
        transient_output: bool,
        transient_gradient: bool,
        needs_dx: bool,
        into_target: bool,
    ) -> Node:
        ((names, layer, shape),) = group
        path = (*self.path, *names)
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
        own = not is_builtin(layer)  # such a layer may keep what it returns
        return Node(
            names,
            layer,
            path,
            shape,
            *arity(layer),
            branches=branches,
            transient_output=transient_output and not own,
            transient_gradient=transient_gradient,
            needs_dx=needs_dx,
            into_target=into_target,
        )

    def _segment(
        self,
        group: _Group,
        transient_output: bool,
        transient_gradient: bool,
        needs_dx: bool,
        forked: bool,
    ) -> Segment:
        inside = self._replace(whole=False, needs_dx=needs_dx)
        single = [[placed] for placed in group]
        names, layer, shape = group[-1]
        notes, kinds = None, (type(group[0].layer), type(layer))
        if type(layer) is Moments:
            notes = Notes((*self.path, *names), names, layer.note_size(shape))
        return Segment(
            names=tuple(placed.names for placed in group if type(placed.layer) is not Moments),
            path=self.path,
            memory_key=(self.path, group[0].names, names, Normalize in kinds, Moments in kinds),
            shape=group[0].shape,
            output_shape=layer.output_shape(shape),
            working_set=max(layer.working_set(s) for _, layer, s in group),
            single_chunk=inside.plan(single),
            chunked=inside.plan(single, chunked=True),
            notes=notes,
            hands_over=False,
            forked=forked,
            recordable=all(is_builtin(layer, recursive=True) for _, layer, _ in group),
            transient_output=transient_output,
            transient_gradient=transient_gradient,
            needs_dx=needs_dx,
        )


def _forks(layer: Layer) -> bool:
    """Return whether several branches may read the gradient of its output."""
    inside = (child for steps in layer.branches for _, child in steps)
    return len(layer.branches) > 1 or any(map(_forks, inside))


def _cut_alike(parts: list[Node | Segment]) -> list[Node | Segment]:
    """Cut segments between which chunks only meet alike, if they are of similar size.

    Each chunk then goes on with what it has in its own memory.
    """
    runs: list[list[Node | Segment]] = []
    for part in parts:
        if runs and isinstance(part, Segment) and _goes_on(runs[-1], part):
            runs[-1].append(part)
        else:
            runs.append([part])
    return [part for run in runs for part in _alike(run)]


def _goes_on(run: list[Node | Segment], part: Segment) -> bool:
    """Return whether chunks only meet before this segment, and work on about as much in it."""
    if not (isinstance(run[-1], Segment) and run[-1].notes):
        return False
    before = [part for part in run if isinstance(part, Segment)]
    return before[-1].forked or similar(part.working_set for part in (*before, part))


def _alike(run: list[Node | Segment]) -> Iterator[Node | Segment]:
    largest = max((part.working_set for part in run if isinstance(part, Segment)), default=0)
    for i, part in enumerate(run):
        if isinstance(part, Segment):
            yield replace(part, working_set=largest, hands_over=i + 1 < len(run))
        else:
            yield part
