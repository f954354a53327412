"""The parts of a team of processes: shared blocks, messages, the barrier, and who is chosen."""

import pickle
import sys
import threading
from itertools import count, pairwise
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from sknpcnn._engine import messages, shared, workers
from sknpcnn._engine.barrier import CACHE_LINE, Barrier
from sknpcnn._engine.cores import Claims
from sknpcnn._engine.member import Member, WorkerLostError
from sknpcnn._engine.processes import ProcessTeam, pool
from sknpcnn._engine.shared import Blocks, remove_blocks
from tests.processes import PATIENCE

pytestmark = pytest.mark.thread_unsafe(reason="counts processes")


@pytest.fixture
def places(tmp_path):
    """Where blocks may be: the first place has room for none."""
    (tmp_path / "there").mkdir()
    return [tmp_path / "missing" / "team-", tmp_path / "there" / "team-"]


def files(places):
    return [file for place in places for file in place.parent.glob("*")]


def test_a_block_is_the_same_memory_in_all_processes_and_has_no_name_afterwards(places):
    leader, other = Blocks(places, leads=True), Blocks(places, leads=False)
    pairs = [
        (blocks.empty((3, 5), np.float32), blocks.empty((2,), np.int64))
        for blocks in (leader, other)
    ]
    assert len(files(places)) == 2
    leader.drop_names()
    assert not files(places)
    for mine, theirs in zip(*pairs, strict=True):
        assert not mine.any()
        mine[...] = np.arange(mine.size).reshape(mine.shape)
        np.testing.assert_array_equal(theirs, mine)
        assert mine.ctypes.data % 64 == 0


def test_blocks_of_a_leader_that_died_are_removed(places):
    Blocks(places, leads=True).allocate(100)
    other = places[1].parent / "other"
    other.touch()
    remove_blocks(places)
    assert files(places) == [other]


def test_an_error_says_how_much_room_is_needed_and_where(places):
    (places[1].parent).rmdir()
    with pytest.raises(MemoryError, match=r"1,000 bytes.*TMPDIR.*n_jobs=1"):
        Blocks(places, leads=True).allocate(1000)


def test_large_arrays_of_a_message_are_in_blocks_and_files(places, tmp_path):
    leader, other = Blocks(places, leads=True), Blocks(places, leads=False)
    large, small = np.arange(20_000, dtype=np.uint8).reshape(100, 200), np.arange(5.0)
    np.save(tmp_path / "X.npy", large)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    value = {"large": large, "small": small, "file": mapped[10:], "again": [large.T]}
    message = messages.dump(value, leader)
    assert len(message) < large.nbytes
    found = messages.load(message, other)
    for name in ("large", "small", "file"):
        np.testing.assert_array_equal(found[name], value[name])
        assert found[name].dtype == value[name].dtype
    np.testing.assert_array_equal(found["again"][0], large.T)
    assert len(files(places)) == 2, "a file is not copied"


def test_a_file_that_was_replaced_is_noticed(places, tmp_path):
    file = tmp_path / "X.npy"
    np.save(file, np.zeros(100_000))
    message = messages.dump(np.load(file, mmap_mode="r"), Blocks(places, leads=True))
    file.unlink()
    np.save(file, np.ones(100_000))
    with pytest.raises(ValueError, match=r"X\.npy was replaced"):
        messages.load(message, Blocks(places, leads=False))


def test_functions_of_a_script_can_be_packed():
    offset = 3
    assert pickle.loads(messages.pack(lambda x: x + offset))(4) == 7


def rendezvous(n, rounds, work):
    """Let threads meet at a barrier, as if they were processes."""
    counters = memoryview(bytearray(8 * CACHE_LINE * n)).cast("q")
    threads = []
    for rank in range(n):
        barrier = Barrier(counters, rank, n, lambda other: None)
        threads.append(
            Thread(target=lambda b=barrier, r=rank: [work(r, i, b) for i in range(rounds)])
        )
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_nobody_passes_the_barrier_before_all_are_there(n):
    arrived, early = [0] * 50, []

    def work(rank, i, barrier):
        with lock:
            arrived[i] += 1
        barrier.wait()
        if arrived[i] != n:
            early.append((rank, i))

    lock = threading.Lock()
    rendezvous(n, 50, work)
    assert not early


def test_who_waits_looks_after_the_others():
    counters = memoryview(bytearray(8 * CACHE_LINE * 3)).cast("q")
    asked = []

    def check(other):
        asked.append(other)
        if len(asked) == 3:
            raise WorkerLostError("gone")

    with pytest.raises(WorkerLostError):
        Barrier(counters, 1, 3, check).wait()
    assert asked == [0, 0, 0]


def test_processes_that_do_different_things_do_not_wait_for_ever(places):
    leader = Member(places, 0, 2)
    other = Member(places, 1, 2)
    other.finish_call()
    with pytest.raises(WorkerLostError, match="something else"):
        leader.run(lambda i, rank: None, 2)


def test_each_task_is_run_once_by_the_same_process_every_time(places):
    members = [Member(places, rank, 3) for rank in range(3)]
    done = [[], [], []]
    threads = [
        Thread(
            target=lambda m=m: [m.run(lambda i, rank: done[rank].append(i), n) for n in (7, 1, 7)]
        )
        for m in members
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert done == [[0, 3, 6, 0, 0, 3, 6], [1, 4, 1, 4], [2, 5, 2, 5]]


def answer(member, *arguments):
    return member.rank, member.size, len(arguments[0])


def fail(member):
    raise ValueError("no such luck")


def test_workers_answer_in_turn_and_errors_come_back():
    with ProcessTeam(3) as team:
        team.call(answer, [1, 2])
        team.call(answer, np.zeros(10_000))
        assert team.results() == [(1, 3, 2), (2, 3, 2), (1, 3, 10_000), (2, 3, 10_000)]
    with ProcessTeam(2) as team:
        team.call(fail)
        with pytest.raises(WorkerLostError, match="no such luck"):
            team.results()
    assert not pool.has_idle(1)


def test_workers_are_kept_unless_they_have_imported_modules_of_the_program():
    """These may have changed when the next fit needs them."""
    for function, kept in ((Member.failed, True), (answer, False)):
        with ProcessTeam(2) as team:
            team.call(function, *([] if kept else [""]))
            team.results()
        assert pool.has_idle(1) == kept
    pool.end_idle()
    assert not pool.has_idle(1)


def test_a_team_leaves_its_memory_to_the_next_one_of_the_same_processes():
    pool.end_idle()
    add_up, places = lambda member, x: float(x.sum()), []
    for size, value in ((2, 1.0), (2, 3.0), (3, 5.0), (3, 7.0), (2, 9.0)):
        with ProcessTeam(size) as team:
            team.call(add_up, np.full(10_000, value))
            (block,) = team.member.blocks.leave()
            places.append(block.ctypes.data)
            assert team.results() == [10_000 * value] * (size - 1)
    assert [here == before for before, here in pairwise(places)] == [True, False, True, False]
    pool.end_idle()


def test_not_all_of_the_memory_of_a_team_is_left(places, monkeypatch):
    monkeypatch.setattr(shared, "MAX_SPARE_BYTES", 4000)
    leader, other = Blocks(places, leads=True), Blocks(places, leads=False)
    for blocks in (leader, other):
        for size in (100, 3000, 5000, 2000, 300):
            blocks.empty((size,), np.uint8)
        blocks.spare = blocks.leave()
        assert [block.size for block in blocks.spare] == [3000, 300, 100]
    for blocks in (leader, other):
        for size in (200, 120, 1000):  # the last two find none: too small, or much too large
            blocks.empty((size,), np.uint8)
        assert [block.size for block in blocks.spare] == [3000, 100]


class Choice:
    """The circumstances of a choice, all in favor of processes."""

    def __init__(self, monkeypatch):
        monkeypatch.setattr(workers, "count_cores", lambda: 4)
        monkeypatch.setattr(workers, "SECONDS_TO_START", 4.0)
        monkeypatch.setattr(workers, "SECONDS_TO_SHARE", 0.1)
        monkeypatch.setattr(workers, "recent", workers.RecentWork())
        self.seconds = 5.0

    def size(self, n_workers=2):
        return workers.processes_for(n_workers, lambda limit: self.seconds > limit)


@pytest.fixture
def choice(monkeypatch):
    pool.end_idle()
    return Choice(monkeypatch)


def test_processes_are_for_work_that_takes_long(choice, monkeypatch):
    assert choice.size() == 2
    assert choice.size(3) == 3
    assert choice.size(1) == 1
    assert choice.size(100) == 4, "no more than there are cores"
    choice.seconds = 3.0
    assert choice.size() == 1
    workers.recent.add(2.0)
    assert choice.size() == 2, "many short fits are a long one"
    later = count(1e9)
    monkeypatch.setattr(workers, "monotonic", lambda: next(later))
    assert choice.size() == 1, "but not after a pause"
    monkeypatch.setattr(pool, "has_idle", lambda n: n <= 1)
    assert choice.size() == 2, "workers are there"
    assert choice.size(3) == 1
    choice.seconds = 0.05
    assert choice.size() == 1


@pytest.mark.parametrize(
    ("of", "name", "value"),
    [
        (sys, "executable", "/usr/bin/uwsgi"),
        (sys, "executable", None),
        (sys, "frozen", True),
        (sys, "_is_gil_enabled", lambda: False),
        (sys, "platform", "emscripten"),
        (workers, "parent_process", lambda: "another process"),
    ],
)
def test_no_processes_where_threads_are_better_or_alone_possible(
    choice, monkeypatch, of, name, value
):
    monkeypatch.setattr(of, name, value, raising=False)
    assert choice.size() == 1


def test_cores_that_other_threads_use_are_not_used_again(choice, monkeypatch):
    claims = Claims()
    monkeypatch.setattr(workers, "claims", claims)
    claims.claim("mine", 4)
    assert claims.taken() == 0
    thread = Thread(target=claims.claim, args=("theirs", 2))
    thread.start()
    thread.join(PATIENCE)
    assert claims.taken() == 2
    assert choice.size(4) == 2
    claims.release("theirs")
    assert choice.size(4) == 4


def test_files_are_made_where_memory_is():
    prefixes = shared.new_prefixes()
    assert all(isinstance(prefix, Path) and prefix.parent.is_dir() for prefix in prefixes)
    assert len({prefix.name for prefix in prefixes}) == 1
