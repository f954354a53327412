"""Prediction of many rows, batch by batch, in this process or in several."""

import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from sknpcnn._engine.chunks import cut
from sknpcnn._engine.context import MiniBatch, forward
from sknpcnn._engine.engine import Engine
from sknpcnn._engine.member import Member, WorkerLostError
from sknpcnn._engine.messages import pack
from sknpcnn._engine.parallel import whole_batch
from sknpcnn._engine.plan import Node, Plan
from sknpcnn._engine.processes import ProcessTeam
from sknpcnn._engine.workers import processes_for, recent
from sknpcnn._network.batches import Array, Rows
from sknpcnn._network.parameters import Layout
from sknpcnn.layers.base import is_builtin

PREDICTION_BATCH = 512
"""The most samples predicted at once: enough for fast dense layers, but little memory."""
FIRST_BATCH = 64
"""How many samples are predicted before it is decided who predicts the others."""
MAX_KEPT_MEMORY = 2**26
"""The most memory that a worker keeps between two predictions, with its tapes, in bytes."""


@dataclass(frozen=True)
class Prediction:
    """What is predicted, and by which layers."""

    plan: Plan
    layout: Layout
    theta: Array
    rows: Rows

    def batches(self, batch_size: int | None) -> list[tuple[int, int]]:
        """Return the batches as ranges of rows: a small one first, others of equal size.

        Equal ones play the same tapes; only the last one may have fewer rows.
        """
        n, size = len(self.rows), min(batch_size or PREDICTION_BATCH, PREDICTION_BATCH)
        if n <= size:
            return [(0, n)]
        first = min(FIRST_BATCH, size)
        size = -(-(n - first) // len(cut(n - first, size, even=True)))
        return [(0, first), *((lo, min(lo + size, n)) for lo in range(first, n, size))]

    def on(self, engine: Engine) -> Callable[[int, int], Array]:
        """Return a function that computes the outputs of rows lo to hi, (n, outputs)."""
        engine.tapes.register(theta=self.theta)
        views, fold = engine.views(self.layout, self.theta), self.plan.fold_parameters
        params = engine.derive("folded", lambda arena: fold(views, arena.empty))

        def outputs(lo: int, hi: int) -> Array:
            batch = self.rows.part(lo, hi)
            ctx = whole_batch(engine, MiniBatch(hi - lo, training=False))
            with np.errstate(all="ignore"):
                y, _ = forward(self.plan, params, batch, ctx)
            if y.ndim == 4:
                y = y.transpose(2, 0, 1, 3)
            return y.reshape(hi - lo, -1).copy()

        return outputs


def predict(prediction: Prediction, batch_size: int | None, engine: Engine) -> Array:
    """Compute all outputs on the engine's threads."""
    outputs = prediction.on(engine)
    return np.concatenate([outputs(lo, hi) for lo, hi in prediction.batches(batch_size)])


def predict_on_all_cores(prediction: Prediction, batch_size: int | None, engine: Engine) -> Array:
    """Compute all outputs, in several processes if that will be faster. The bits are the same."""
    outputs = prediction.on(engine)
    first, *rest = prediction.batches(batch_size)
    start = perf_counter()
    found = [outputs(*first)]
    seconds = (perf_counter() - start) * (len(prediction.rows) / first[1] - 1)
    if rest and may_share(prediction.plan):
        size = processes_for(min(engine.n_threads, len(rest)), lambda limit: seconds > limit)
        if size > 1:
            try:
                with engine.alone():
                    more = _in_processes(prediction, rest, found[0].shape[1], size, outputs)
                return np.concatenate([*found, more])
            except (WorkerLostError, MemoryError) as error:
                warnings.warn(
                    f"{error} The prediction goes on in one process, with the same result.",
                    RuntimeWarning,
                    stacklevel=6,
                )
    start = perf_counter()
    found += [outputs(lo, hi) for lo, hi in rest]
    if engine.n_threads > 1:
        recent.add(perf_counter() - start)
    return np.concatenate(found)


def may_share(plan: Plan) -> bool:
    """Return whether processes can share a plan: a layer that sees whole batches is run by all.

    So it must write its results within ``ctx.map``, which is only known of our own layers.
    """
    nodes = [part for part in plan.parts if isinstance(part, Node)]
    return all(is_builtin(node.layer) and all(map(may_share, node.branches)) for node in nodes)


def _in_processes(
    prediction: Prediction,
    batches: list[tuple[int, int]],
    n_outputs: int,
    size: int,
    outputs: Callable[[int, int], Array],
) -> Array:
    """Compute the outputs of consecutive batches, each in one of several processes.

    Only the rows of the workers are copied to shared memory. They start on the first ones while the
    rest are being copied.
    """
    own, others = batches[: len(batches) // size], batches[len(batches) // size :]
    few = min(size - 1, len(others))
    packed = pack((prediction.plan, prediction.layout))
    shared = []
    with ProcessTeam(size) as team:
        for part in filter(None, (others[:few], others[few:])):
            start, stop = part[0][0], part[-1][1]
            rows = _rows_between(prediction.rows, start, stop)
            ranges = [(lo - start, hi - start) for lo, hi in part]
            team.call(_predict, packed, prediction.theta, rows, ranges, n_outputs)
            shape = stop - start, n_outputs
            shared.append(team.member.blocks.empty(shape, prediction.theta.dtype))
        found = [outputs(lo, hi) for lo, hi in own]
        team.results()
        return np.concatenate([*found, *shared])


def _rows_between(rows: Rows, lo: int, hi: int) -> Rows:
    """Select rows; consecutive ones as a view."""
    if isinstance(rows.index, slice):
        first = rows.index.start or 0
        return replace(rows, X=rows.X[first + lo : first + hi], index=slice(None))
    return replace(rows, X=rows.X[rows.index[lo:hi]], index=slice(None))


def _predict(
    member: Member,
    packed: bytes,
    theta: Array,
    rows: Rows,
    batches: list[tuple[int, int]],
    n_outputs: int,
) -> None:
    """Compute the batches of this worker."""
    shared = member.blocks.empty((len(rows), n_outputs), theta.dtype)
    known = member.kept.pop("network", None)
    if known is None or known[0] != packed or known[2].dtype != theta.dtype:
        known = packed, pickle.loads(packed), theta.copy(), Engine(1, theta.dtype)
    _, (plan, layout), own_theta, engine = known
    own_theta[...] = theta  # at the same address as before, so that tapes are replayed
    n, workers = len(batches), member.size - 1
    with engine:
        outputs = Prediction(plan, layout, own_theta, rows).on(engine)
        for lo, hi in batches[(member.rank - 1) * n // workers : member.rank * n // workers]:
            shared[lo:hi] = outputs(lo, hi)
    if engine.size() + theta.nbytes <= MAX_KEPT_MEMORY:
        member.kept["network"] = known
