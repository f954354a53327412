"""The schedules: PyTorch's curves, warm-up before each, factors from 0 to 1."""

from math import isclose

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from sknpcnn.schedules import (
    NAMED,
    Constant,
    CosineDecay,
    ExponentialDecay,
    OneCycle,
    Progress,
    ReduceOnPlateau,
    Schedule,
    StepDecay,
)

LENGTH = 30
SCHEDULES = [
    Constant(),
    StepDecay(epochs=7, factor=0.5),
    StepDecay(epochs=(3, 4, 20), factor=0.1),
    ExponentialDecay(0.9),
    CosineDecay(),
    CosineDecay(final=0.2),
    OneCycle(),
    OneCycle(rise=0.5, start=0.5, final=0.01),
    ReduceOnPlateau(factor=0.5, patience=2),
]
FALLING = [schedule for schedule in SCHEDULES if not isinstance(schedule, OneCycle)]


def at(schedule, epoch, n_epochs=LENGTH, curve=()):
    return schedule.multiplier(Progress(epoch, n_epochs, curve))


def of_torch(make, n, metrics=None):
    """The learning rates of a PyTorch schedule at step 0, 1, ..., n - 1, from a start of 1."""
    torch = pytest.importorskip("torch")
    rule = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = make(torch.optim.lr_scheduler, rule)
    rates = []
    for i in range(n):
        rates.append(rule.param_groups[0]["lr"])
        rule.step()
        schedule.step(*(() if metrics is None else (metrics[i],)))
    return rates


@pytest.mark.parametrize(
    ("schedule", "make"),
    [
        (Constant(), lambda s, rule: s.ConstantLR(rule, factor=1.0)),
        (StepDecay(epochs=7, factor=0.5), lambda s, rule: s.StepLR(rule, 7, 0.5)),
        (StepDecay(epochs=1, factor=0.9), lambda s, rule: s.StepLR(rule, 1, 0.9)),
        (StepDecay((3, 4, 20), 0.1), lambda s, rule: s.MultiStepLR(rule, [3, 4, 20], 0.1)),
        (ExponentialDecay(0.9), lambda s, rule: s.ExponentialLR(rule, 0.9)),
        (CosineDecay(), lambda s, rule: s.CosineAnnealingLR(rule, LENGTH)),
        (CosineDecay(final=0.2), lambda s, rule: s.CosineAnnealingLR(rule, LENGTH, eta_min=0.2)),
    ],
)
def test_factors_at_whole_epochs_are_those_of_pytorch(schedule, make):
    ours = [at(schedule, epoch) for epoch in range(LENGTH)]
    np.testing.assert_allclose(ours, of_torch(make, LENGTH), rtol=1e-12)


@pytest.mark.parametrize(("rise", "total"), [(0.3, 40), (0.5, 21), (0.25, 100)])
def test_one_cycle_goes_along_the_curve_of_pytorch(rise, total):
    """PyTorch starts at step 0, peaks at step ``rise * total - 1``, ends at ``total - 1``."""
    theirs = of_torch(
        lambda s, rule: s.OneCycleLR(rule, 1.0, total_steps=total, pct_start=rise), total - 1
    )
    peak = rise * total - 1
    for step, rate in enumerate(theirs):
        done = rise * step / peak
        if step > peak:
            done = rise + (1 - rise) * (step - peak) / (total - 1 - peak)
        assert at(OneCycle(rise=rise), 10 * done, n_epochs=10) == pytest.approx(rate, rel=1e-9)


@pytest.mark.parametrize("patience", [1, 2, 4])
def test_plateaus_are_those_of_pytorch(patience):
    """PyTorch waits until the epochs without improvement are *more* than its patience."""
    curve = [1.0, 0.8, 0.8, 0.81, 0.7, 0.7, 0.9, 0.7, 0.7, 0.7, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6]
    theirs = of_torch(
        lambda s, rule: s.ReduceLROnPlateau(
            rule, factor=0.5, patience=patience - 1, threshold=0.0, min_lr=0.2, eps=0.0
        ),
        len(curve),
        curve,
    )
    rule = ReduceOnPlateau(factor=0.5, patience=patience, tol=0.0, min_factor=0.2)
    ours = [at(rule, epoch, curve=curve[:epoch]) for epoch in range(len(curve))]
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert ours[-1] < 1


def test_plateau_is_where_the_best_loss_falls_by_no_more_than_tol():
    creeping = [1.0 - 0.01 * i for i in range(6)]
    assert at(ReduceOnPlateau(0.5, patience=5, tol=0.02), 6, curve=creeping) == 0.5
    assert at(ReduceOnPlateau(0.5, patience=5, tol=0.001), 6, curve=creeping) == 1.0


def test_waiting_begins_anew_after_each_reduction():
    rule = ReduceOnPlateau(0.5, patience=2, min_factor=0.0)
    flat = [1.0] * 10
    factors = [at(rule, n, curve=flat[:n]) for n in range(8)]
    assert factors == [1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.125]


def test_loss_that_is_not_a_number_counts_as_no_improvement():
    curve = [1.0, float("nan"), float("nan")]
    assert at(ReduceOnPlateau(0.5, patience=2), 3, curve=curve) == 0.5


def test_one_cycle_passes_through_start_peak_and_end():
    rule = OneCycle(rise=0.25, start=0.1, final=0.001)
    assert at(rule, 0, 20) == pytest.approx(0.1)
    assert at(rule, 5, 20) == 1.0
    assert at(rule, 20, 20) == pytest.approx(0.001)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_rate_rises_linearly_while_warming_up(schedule):
    warm = schedule.replace(warmup=4)
    for epoch in (0.05, 1.0, 2.0, 3.9):
        assert isclose(at(warm, epoch), epoch / 4)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedule_begins_where_the_warm_up_ends(schedule):
    warm = schedule.replace(warmup=4)
    curve = [1.0] * 12
    for epoch in (0.0, 0.5, 3.0, 7.0, 20.0):
        expected = at(schedule, epoch, LENGTH, curve)
        assert at(warm, epoch + 4, LENGTH + 4, [9.0] * 4 + curve) == expected


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_warm_up_longer_than_training_is_all_there_is(schedule):
    warm = schedule.replace(warmup=50)
    assert at(warm, 10, 20) == 0.2
    assert 0 < at(warm, 50.5, 20) <= 1


@pytest.mark.parametrize("schedule", [s for s in SCHEDULES if not isinstance(s, ReduceOnPlateau)])
def test_training_may_stop_whenever_it_no_longer_improves(schedule):
    assert schedule.finished(Progress(0, LENGTH))
    assert schedule.finished(Progress(5, LENGTH, [1.0] * 5))


def test_training_may_not_stop_before_a_plateau_has_lowered_the_rate_to_its_minimum():
    rule = ReduceOnPlateau(0.1, patience=1, min_factor=0.01)
    finished = [rule.finished(Progress(n, LENGTH, [1.0] * n)) for n in range(5)]
    assert finished == [False, False, False, True, True]


@settings(deadline=None, max_examples=60)
@given(
    index=st.integers(0, len(SCHEDULES) - 1),
    warmup=st.floats(0, 10),
    epoch=st.floats(1e-6, LENGTH - 1e-6),  # halfway through a step
    curve=st.lists(st.floats(0, 10), max_size=LENGTH),
)
def test_factor_is_above_0_and_at_most_1(index, warmup, epoch, curve):
    factor = at(SCHEDULES[index].replace(warmup=warmup), epoch, LENGTH, curve[: int(epoch)])
    assert 0 < factor <= 1


@settings(deadline=None, max_examples=60)
@given(
    index=st.integers(0, len(FALLING) - 1),
    epochs=st.tuples(st.floats(0, LENGTH), st.floats(0, LENGTH)),
    curve=st.lists(st.floats(0, 10), min_size=LENGTH, max_size=LENGTH),
)
def test_factor_never_rises_again(index, epochs, curve):
    early, late = sorted(epochs)
    first = at(FALLING[index], early, LENGTH, curve[: int(early)])
    assert at(FALLING[index], late, LENGTH, curve[: int(late)]) <= first + 1e-15


@settings(deadline=None, max_examples=60)
@given(rise=st.floats(0.05, 0.95), epochs=st.tuples(st.floats(0, 10), st.floats(0, 10)))
def test_one_cycle_rises_to_its_peak_and_falls_after_it(rise, epochs):
    early, late = sorted(epochs)
    first, second = (at(OneCycle(rise=rise), epoch, 10) for epoch in (early, late))
    if late < rise * 10:
        assert first <= second + 1e-12
    elif early >= rise * 10:
        assert first >= second - 1e-12


@settings(deadline=None, max_examples=60)
@given(
    curve=st.lists(st.floats(0, 1), max_size=40),
    factor=st.floats(0.1, 0.9),
    patience=st.integers(1, 6),
)
def test_plateau_factor_is_a_power_of_the_factor_and_not_below_the_minimum(curve, factor, patience):
    rule = ReduceOnPlateau(factor, patience, min_factor=0.05)
    reached = at(rule, len(curve), LENGTH, curve)
    powers = [factor**k for k in range(len(curve) + 1)]
    assert reached >= 0.05
    assert reached == 0.05 or any(isclose(reached, power) for power in powers)
    assert sum(reached < power * (1 - 1e-9) for power in powers) <= len(curve) / patience


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Constant(warmup=-1), "Constant: warmup=-1"),
        (lambda: CosineDecay(warmup=float("inf")), "CosineDecay: warmup=inf"),
        (lambda: StepDecay(epochs=0), "StepDecay: epochs=0"),
        (lambda: StepDecay(epochs=()), r"StepDecay: epochs=\(\)"),
        (lambda: StepDecay(epochs=(3, 3)), r"StepDecay: epochs=\(3, 3\)"),
        (lambda: StepDecay(epochs=(5, 3)), r"StepDecay: epochs=\(5, 3\)"),
        (lambda: StepDecay(epochs=(0, 3)), r"StepDecay: epochs=\(0, 3\)"),
        (lambda: StepDecay(epochs=(1.5, 3)), r"StepDecay: epochs=\(1.5, 3\)"),
        (lambda: StepDecay(factor=0.0), "StepDecay: factor=0.0"),
        (lambda: ExponentialDecay(1.1), "ExponentialDecay: factor=1.1"),
        (lambda: ExponentialDecay("half"), "ExponentialDecay: factor='half'"),
        (lambda: CosineDecay(final=-0.1), "CosineDecay: final=-0.1"),
        (lambda: OneCycle(rise=0.0), "OneCycle: rise=0.0"),
        (lambda: OneCycle(rise=1.0), "OneCycle: rise=1.0"),
        (lambda: OneCycle(start=2.0), "OneCycle: start=2.0"),
        (lambda: OneCycle(final=float("nan")), "OneCycle: final=nan"),
        (lambda: ReduceOnPlateau(factor=1.0), "ReduceOnPlateau: factor=1.0"),
        (lambda: ReduceOnPlateau(patience=0), "ReduceOnPlateau: patience=0"),
        (lambda: ReduceOnPlateau(tol=-1e-3), "ReduceOnPlateau: tol=-0.001"),
        (lambda: ReduceOnPlateau(min_factor=1.5), "ReduceOnPlateau: min_factor=1.5"),
    ],
)
def test_bad_hyperparameter_is_refused_by_name_and_value_and_need(make, name):
    with pytest.raises(ValueError, match=rf"^{name}; needed: "):
        make()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedule_is_a_value(schedule):
    same = type(schedule)(**schedule.get_params())
    assert same == schedule
    assert hash(same) == hash(schedule)
    assert eval(repr(schedule)) == schedule
    assert clone(schedule) == schedule


def test_epochs_given_as_a_list_are_copied():
    epochs = [3, 6]
    rule = StepDecay(epochs)
    epochs.append(1)
    assert rule == StepDecay((3, 6))


def test_every_name_that_learning_rate_takes_is_a_schedule():
    assert set(NAMED) == {"constant", "adaptive"}
    assert all(isinstance(schedule, Schedule) for schedule in NAMED.values())
    assert NAMED["constant"] == Constant()
    assert NAMED["adaptive"] == ReduceOnPlateau()
