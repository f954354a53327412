"""Fits and other limiters may start and end in any order, and no limit on BLAS is lost."""

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations

import joblib
import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_info, threadpool_limits

from sknpcnn._engine.blas import one_thread_blas
from sknpcnn._engine.engine import Engine
from sknpcnn._engine.workers import workers_for
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
        assert one_thread_blas.threads_allowed() == limit, order


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


class TestBlasGuard:
    def test_holds_blas_to_one_thread_inside_and_gives_it_back(self, three):
        with one_thread_blas:
            assert set(blas_threads()) == {1}
        assert blas_threads() == three

    def test_gives_blas_back_after_an_error(self, three):
        with pytest.raises(KeyboardInterrupt), one_thread_blas:
            raise KeyboardInterrupt
        assert blas_threads() == three

    def test_may_be_entered_again_inside(self, three):
        guard = one_thread_blas
        with guard:
            with guard:
                assert set(blas_threads()) == {1}
            assert set(blas_threads()) == {1}
        assert blas_threads() == three

    def test_may_be_used_again(self, three):
        guard = one_thread_blas
        for _ in range(3):
            with guard:
                assert set(blas_threads()) == {1}
            assert blas_threads() == three

    def test_remembers_what_blas_was_set_to_when_the_first_one_entered(self, three):
        guard = one_thread_blas
        with guard:
            pass
        with ThreadpoolController().limit(limits=2, user_api="blas"):
            with guard:
                assert guard.threads_allowed() == 2
            assert set(blas_threads()) == {2}
        assert blas_threads() == three

    def test_overlapping_users_give_blas_back_only_when_the_last_one_leaves(self, three):
        """The first to enter is the first to leave, which limits of threadpoolctl cannot bear."""
        guard = one_thread_blas
        inside, first_left = threading.Barrier(2), threading.Event()
        seen = {}

        def first():
            with guard:
                inside.wait(PATIENCE)
            first_left.set()

        def second():
            with guard:
                inside.wait(PATIENCE)
                assert first_left.wait(PATIENCE)
                seen["while one is inside"] = set(blas_threads())

        with ThreadPoolExecutor(2) as pool:
            for future in [pool.submit(first), pool.submit(second)]:
                future.result(PATIENCE)
        assert seen == {"while one is inside": {1}}
        assert blas_threads() == three

    def test_many_threads_that_come_and_go_leave_blas_as_it_was(self, three):
        guard = one_thread_blas

        def come_and_go(i):
            allowed = []
            for _ in range(20):
                with guard:
                    allowed.append((guard.threads_allowed(), *blas_threads()))
            return allowed

        with ThreadPoolExecutor(6) as pool:
            seen = [entry for entries in pool.map(come_and_go, range(6)) for entry in entries]
        assert set(seen) == {(3,) + (1,) * len(three)}
        assert blas_threads() == three

    def test_leaves_every_thread_free_to_set_a_limit_of_its_own(self):
        """Since threadpoolctl 3.8 one thread keeps the others from it until it lets go."""

        def come_and_go():
            with one_thread_blas:
                pass

        with ThreadPoolExecutor(1) as pool:  # whose thread lives on
            pool.submit(come_and_go).result(PATIENCE)
            with ThreadpoolController().limit(limits=3, user_api="blas"):
                assert set(blas_threads()) <= {3}

    def test_all_engines_share_one_guard(self, three):
        with Engine(2, np.float32), Engine(1, np.float32):
            assert set(blas_threads()) == {1}
        assert blas_threads() == three

    def test_engine_gives_blas_back_after_an_error(self, three):
        with pytest.raises(ValueError, match="oops"), Engine(2, np.float32):
            raise ValueError("oops")
        assert blas_threads() == three


def test_threads_by_default_are_those_that_blas_may_use(three):
    assert workers_for(None) == 3
    with one_thread_blas:
        assert workers_for(None) == 3, "our own limit does not count"
    with ThreadpoolController().limit(limits=1, user_api="blas"):
        assert workers_for(None) == 1, "that of a grid search does"
        with one_thread_blas:
            assert workers_for(None) == 1


def test_threads_are_counted_as_joblib_does():
    assert [workers_for(n) for n in (1, 2, 7)] == [1, 2, 7]
    assert workers_for(-1) == joblib.cpu_count()
    assert workers_for(-2) == max(joblib.cpu_count() - 1, 1)
    assert workers_for(-1000) == 1
