"""The memory and the threads of an engine."""

import threading

import numpy as np
import pytest

from sknpcnn._engine import threads
from sknpcnn._engine.engine import Arena, Engine
from tests.engine.threads import finishing, our_threads
from tests.processes import PATIENCE


class TestArena:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_buffers_have_the_shape_and_type_that_is_asked_for(self, dtype):
        arena = Arena(dtype)
        assert arena.empty((2, 3)).shape == (2, 3)
        assert arena.empty((2, 3)).dtype == dtype
        assert arena.empty((4,), np.uint32).dtype == np.uint32
        assert arena.empty((5, 1), np.bool_).dtype == np.bool_
        assert arena.empty(()).shape == ()
        assert arena.empty((0, 3)).shape == (0, 3)

    def test_buffers_are_aligned_with_the_lines_of_the_cache(self):
        arena = Arena(np.float32)
        for size in (1, 3, 17, 1000, 4097):
            assert arena.empty((size,)).ctypes.data % 64 == 0
            assert arena.empty((size,), np.uint8).ctypes.data % 64 == 0

    def test_what_is_handed_out_does_not_overlap(self):
        arena = Arena(np.float64)
        arrays = [arena.empty((n,)) for n in (5, 3, 8)]
        for i, array in enumerate(arrays):
            array[...] = i
        assert [set(array) for array in arrays] == [{0.0}, {1.0}, {2.0}]

    def test_same_requests_get_the_same_memory_after_a_rewind(self):
        arena = Arena(np.float32)
        addresses = []
        for _ in range(3):
            arena.rewind()
            addresses.append([arena.empty((n, 2)).ctypes.data for n in (5, 3, 8)])
        assert addresses[0] == addresses[1] == addresses[2]

    def test_smaller_request_is_cut_from_the_same_memory(self):
        arena = Arena(np.float32)
        large = arena.empty((100,))
        arena.rewind()
        assert np.shares_memory(arena.empty((10, 3)), large)
        arena.rewind()
        assert np.shares_memory(arena.empty((100,)), large)

    def test_larger_request_leaves_what_was_handed_out_before_alone(self):
        arena = Arena(np.float32)
        small = arena.empty((10,))
        small[...] = 1
        arena.rewind()
        large = arena.empty((1000,))
        large[...] = 2
        assert (small == 1).all()
        arena.rewind()
        assert np.shares_memory(arena.empty((1000,)), large)


class TestEngineRun:
    @pytest.mark.parametrize("n_threads", [1, 2, 3, 8])
    @pytest.mark.parametrize("n_tasks", [0, 1, 2, 5, 100])
    def test_every_task_runs_once(self, n_tasks, n_threads):
        done, used = [], set()

        def task(i, thread):
            done.append(i)
            used.add(thread)

        with Engine(n_threads, np.float32) as engine:
            for _ in range(3):
                done.clear()
                engine.run(task, n_tasks)
                assert sorted(done) == list(range(n_tasks))
        assert used <= set(range(n_threads))

    @pytest.mark.parametrize("n_threads", [2, 3])
    def test_tasks_run_at_the_same_time_on_threads_of_their_own_number(self, n_threads):
        together = threading.Barrier(n_threads)
        numbers = {}

        def task(i, thread):
            together.wait(PATIENCE)
            numbers[i] = thread

        with Engine(n_threads, np.float32) as engine:
            engine.run(task, n_threads)
        assert sorted(numbers.values()) == list(range(n_threads))

    @pytest.mark.parametrize("n_threads", [1, 4])
    def test_caller_is_one_of_the_threads(self, n_threads):
        together = threading.Barrier(n_threads)
        idents = {}

        def task(i, thread):
            together.wait(PATIENCE)
            idents[thread] = threading.get_ident()

        with Engine(n_threads, np.float32) as engine:
            engine.run(task, n_threads)
        assert idents[0] == threading.get_ident()

    @pytest.mark.parametrize("culprit", [0, 1, 2])
    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_error_of_any_thread_reaches_the_caller(self, error, culprit):
        together = threading.Barrier(3)

        def task(i, thread):
            together.wait(PATIENCE)
            if thread == culprit:
                raise error("from a thread")

        with Engine(3, np.float32) as engine, pytest.raises(error, match="from a thread"):
            engine.run(task, 3)

    def test_error_reaches_the_caller_where_there_is_one_thread(self):
        started = []

        def task(i, thread):
            started.append(i)
            if i == 2:
                raise ValueError("the third")

        with Engine(1, np.float32) as engine, pytest.raises(ValueError, match="the third"):
            engine.run(task, 10)
        assert started == [0, 1, 2]

    @pytest.mark.parametrize("culprit", [0, 1])
    def test_nothing_starts_after_an_error(self, culprit, monkeypatch):
        together, failed = threading.Barrier(2), threading.Event()
        work = threads._Job.work

        def spy(job, thread):
            try:
                work(job, thread)
            except ValueError:
                failed.set()  # and the tasks that are waiting have been dropped
                raise

        monkeypatch.setattr(threads._Job, "work", spy)
        started = []

        def task(i, thread):
            started.append(i)
            if i > 1:
                return
            together.wait(PATIENCE)
            if thread == culprit:
                raise ValueError("one of two")
            assert failed.wait(PATIENCE)

        with Engine(2, np.float32) as engine, pytest.raises(ValueError, match="one of two"):
            engine.run(task, 50)
        assert sorted(started) == [0, 1]

    def test_run_returns_only_when_nobody_works_any_more(self, monkeypatch):
        together, waits = threading.Barrier(2), finishing(monkeypatch)
        finished = []

        def task(i, thread):
            together.wait(PATIENCE)
            if thread == 0:
                raise ValueError("at once")
            assert waits.wait(PATIENCE)
            finished.append(i)

        with Engine(2, np.float32) as engine:
            with pytest.raises(ValueError, match="at once"):
                engine.run(task, 2)
            assert len(finished) == 1

    def test_engine_works_on_after_an_error(self):
        def fail(i, thread):
            raise ValueError("no")

        done = []
        with Engine(2, np.float32) as engine:
            with pytest.raises(ValueError, match="no"):
                engine.run(fail, 5)
            engine.run(lambda i, thread: done.append(i), 5)
        assert sorted(done) == [0, 1, 2, 3, 4]

    @pytest.mark.thread_unsafe(reason="all threads of the process are counted")
    @pytest.mark.parametrize("fails", [False, True])
    def test_no_thread_is_left_behind(self, fails):
        before = set(threading.enumerate())
        together = threading.Barrier(4)

        def task(i, thread):
            together.wait(PATIENCE)
            if fails:
                raise ValueError("no")

        try:
            with Engine(4, np.float32) as engine:
                engine.run(task, 4)
        except ValueError:
            assert fails
        assert not our_threads()
        assert set(threading.enumerate()) <= before

    def test_one_thread_starts_no_other(self):
        with Engine(1, np.float32) as engine:
            engine.run(lambda i, thread: None, 10)
            assert not our_threads()

    def test_numbers_that_are_not_finite_raise_no_warning_on_a_helper(self):
        together = threading.Barrier(2)
        found = {}

        def task(i, thread):
            together.wait(PATIENCE)
            if thread == 1:
                found["infinite"] = np.float32(1e30) * np.full(1, 1e30, np.float32)

        with Engine(2, np.float32) as engine:
            engine.run(task, 2)
        assert np.isinf(found["infinite"]).all()
