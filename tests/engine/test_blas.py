"""Fits and other limiters may start and end in any order, and no limit on BLAS is lost."""

from concurrent.futures import ThreadPoolExecutor
from itertools import permutations

import pytest
from threadpoolctl import ThreadpoolController, threadpool_info, threadpool_limits

from sknpcnn._engine.blas import one_thread_blas, threads_for
from tests.engine.threads import blas_threads, wide
from tests.models import Callback
from tests.processes import PATIENCE

pytestmark = pytest.mark.thread_unsafe(reason="looks at the BLAS of the process")


class Fit:
    """What a fit does to BLAS."""

    def open(self):
        one_thread_blas.enter(self)

    def close(self):
        one_thread_blas.leave(self)


class Limiter:
    """A temporary limit set by other code."""

    controller = ThreadpoolController()

    def __init__(self, number):
        self.number = number

    def open(self):
        self.limit = self.controller.limit(limits=self.number, user_api="blas")
        self.limit.__enter__()

    def close(self):
        self.limit.__exit__(None, None, None)


def orders(n_actors):
    """All orders in which so many come and go, the first two of whom are alike."""
    found = sorted(set(permutations([*range(n_actors), *range(n_actors)])))
    return [order for order in found if order.index(0) < order.index(1)]


def check_order(order, actors, start, call=lambda actor, function: function()):
    """Let fits and limiters come and go; hold that it is for limiters as if no fit were there."""
    limit, came, saved = start, set(), {}
    for i in order:
        actor = actors[i]
        if i in came:
            came.remove(i)
            call(i, actor.close)
            limit = saved.pop(i, limit)
        else:
            came.add(i)
            call(i, actor.open)
            if isinstance(actor, Limiter):
                saved[i], limit = limit, actor.number
        fits = [i for i in came if isinstance(actors[i], Fit)]
        assert set(blas_threads()) == {1 if fits else limit}, order
        assert threads_for(None) == limit, order


@pytest.mark.parametrize(("start", "numbers"), [(3, (1, 2)), (3, (1, 1)), (1, (4, 2))])
def test_two_fits_and_two_limiters_in_every_order(start, numbers, three):
    for order in orders(4):
        with Limiter.controller.limit(limits=start, user_api="blas"):
            check_order(order, [Fit(), Fit(), *map(Limiter, numbers)], start)
    assert blas_threads() == three


@pytest.mark.parametrize("more", [0, 1])
def test_two_fits_and_a_limiter_in_threads_of_their_own_in_every_order(more):
    """Since threadpoolctl 3.8 it matters which thread it is."""
    before = blas_threads()
    if len(set(before)) != 1:
        pytest.skip("this BLAS does not tell how many threads it has")
    number = 1 + more * before[0]
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two, ThreadPoolExecutor(1) as other:

        def call(i, function):
            (one, two, other)[i].submit(function).result(PATIENCE)

        for order in orders(3):
            check_order(order, [Fit(), Fit(), Limiter(number)], before[0], call)
            assert blas_threads() == before


def test_a_limiter_that_is_opened_by_a_callback_and_outlives_the_fit(float_digits, three):
    limiters = []

    def limit(context):
        if context.task_name == "epoch" and not limiters:
            limiters.append(threadpool_limits(1).__enter__())

    wide().set_callbacks(Callback(begin=limit)).fit(*float_digits)
    assert set(blas_threads()) == {1}  # as the limiter wants
    limiters.pop().__exit__(None, None, None)
    assert blas_threads() == three


def test_a_limiter_that_outlives_many_predictions_of_other_threads(float_digits, three):
    clf = wide(max_iter=1).fit(*float_digits)
    wanted = clf.predict(float_digits[0])
    with ThreadPoolExecutor(2) as pool:
        for _ in range(3):
            futures = [pool.submit(clf.predict, float_digits[0]) for _ in range(4)]
            with threadpool_limits(1, user_api="blas"):
                for future in futures[:2]:
                    assert (future.result(PATIENCE) == wanted).all()
            for future in futures:
                assert (future.result(PATIENCE) == wanted).all()
    assert blas_threads() == three


def test_while_blas_is_held_threadpoolctl_tells_what_applies_afterwards(three):
    def told():
        return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]

    with one_thread_blas:
        assert told() == three
        with threadpool_limits(2, user_api="blas"):
            assert set(told()) == {2}
            assert set(blas_threads()) == {1}
        threadpool_limits(2, user_api="blas")  # for good
        assert set(blas_threads()) == {1}
    assert set(blas_threads()) == set(told()) == {2}
