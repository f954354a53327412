"""Processes that train together: the same bits as alone, whatever happens to them."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import joblib
import numpy as np
import pytest
from joblib import parallel_config

from sknpcnn import NumpyCNNClassifier
from sknpcnn._engine import shared
from sknpcnn._engine.blas import BlasGuard
from sknpcnn._engine.cores import claims
from sknpcnn._engine.engine import Engine
from sknpcnn._engine.processes import ProcessTeam, pool
from sknpcnn._training.loop import Course, train
from sknpcnn._training.together import Together
from sknpcnn.augmentation import Shift
from sknpcnn.layers import (
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Identity,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
)
from sknpcnn.optimizers import SGD, Adam, RMSprop
from tests.models import Callback, assert_same, in_epoch
from tests.processes import PATIENCE, ended, run_python
from tests.training.networks import PLAN, network_of, samples_of, start

pytestmark = pytest.mark.thread_unsafe(reason="counts processes")

BLOCK = Residual([Conv2D(4), BatchNorm(), ReLU(), Dropout(0.2), Conv2D(4), BatchNorm()])
NETWORKS = {
    "plain": [Conv2D(4), ReLU(), MaxPool2D(), Conv2D(4, 5), ReLU(), Flatten(), Dense(300), ReLU()],
    "normed": [Conv2D(4), BatchNorm(), ReLU(), MaxPool2D(), Dropout(0.3), Flatten(), Dense(9)],
    "residual": [Conv2D(4), BLOCK, Sequential([BLOCK, Residual([BLOCK, ReLU()])]), Flatten()],
    "wide": [Conv2D(64), BatchNorm(), ReLU(), Conv2D(64), ReLU(), MaxPool2D(), Flatten()],
    "dense": [Flatten(), Dense(300), BatchNorm(), ReLU(), Dropout(), Dense(200), ReLU()],
}


def trained(network, samples, plan, size=1, n_epochs=2):
    state = start(network, plan, dtype=np.float32)
    course = Course(network, samples, None, plan)
    with Engine(1, np.float32) as engine, Together(course, size, engine) as team:
        epochs = train(course, state, engine, team=None if size == 1 else team)
        seen = [next(epochs) for _ in range(n_epochs)]
    return [state.theta, *state.memory.values()], [(e.loss, e.score) for e in seen], state.step


def assert_equal(a, b):
    for x, y in zip(a[0], b[0], strict=True):
        np.testing.assert_array_equal(x, y)
    assert a[1:] == b[1:]


@pytest.fixture(autouse=True)
def no_process_is_left():
    yield
    pool.end_idle()
    assert pool.working == 0


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_number_of_processes_changes_no_bit(name, weighted):
    network, samples = network_of(NETWORKS[name]), samples_of(500, weighted=weighted)
    plan = replace(PLAN, optimizer=Adam(), shuffle=True, batch_size=300, alpha=0.01, clip_norm=0.5)
    alone = trained(network, samples, plan)
    for size in (2, 3, 5):
        assert_equal(trained(network, samples, plan, size), alone)


@pytest.mark.parametrize("optimizer", [SGD(momentum=0.9, nesterov=True), RMSprop(), Adam()])
def test_every_optimizer_and_frozen_layers_in_processes(optimizer):
    layers = [Conv2D(4, lr_scale=0), ReLU(), BatchNorm(), Flatten(), Dense(9, lr_scale=0.5)]
    network, samples = network_of(layers), samples_of()
    plan = replace(PLAN, optimizer=optimizer, augment=(("shift", Shift()),))
    assert_equal(trained(network, samples, plan, 2), trained(network, samples, plan))


def classifier(**params):
    params = {"max_iter": 4, "random_state": 0, "n_jobs": 2, "batch_size": 64} | params
    return NumpyCNNClassifier(conv_filters=(8, 8), hidden_layer_sizes=(20,), **params)


@pytest.fixture
def cores(monkeypatch):
    """Five cores, whether they are there or not."""
    monkeypatch.setattr("sknpcnn._engine.workers.count_cores", lambda: 5)


KINDS = [("threading", 1), ("threading", 3), ("loky", 2), ("loky", 3)]


@pytest.mark.parametrize(
    "params",
    [
        {"batch_norm": True, "dropout": 0.2},
        {"early_stopping": True, "augment": [Shift()], "class_weight": "balanced"},
    ],
)
def test_kind_of_workers_changes_no_bit_of_a_fit(params, digits, cores):
    X, y = digits[0][:400], digits[2][:400]
    fits = []
    for backend, n_jobs in KINDS:
        with parallel_config(backend=backend):
            fits.append(classifier(n_jobs=n_jobs, **params).fit(X, y))
            fits[-1].partial_fit(X, y)
            outputs = fits[-1].predict_proba(X.repeat(4, axis=0))
        assert_same(fits[-1], fits[0])
        np.testing.assert_array_equal(outputs[::4], fits[0].predict_proba(X))


def power_failure():
    raise SystemError


def test_a_stopped_fit_resumes_with_workers_of_another_kind(tmp_path, digits, cores):
    X, y = digits[0][:300], digits[2][:300]
    whole = classifier(batch_norm=True).fit(X, y)
    for first, second in (("loky", "threading"), ("threading", "loky")):
        path = tmp_path / first
        part = classifier(batch_norm=True, checkpoint_dir=path)
        part.set_callbacks(Callback(begin=in_epoch(2, power_failure)))
        with parallel_config(backend=first), pytest.raises(SystemError):
            part.fit(X, y)
        with parallel_config(backend=second):
            resumed = classifier(batch_norm=True, checkpoint_dir=path).fit(X, y)
        assert_same(resumed, whole)


def test_a_long_fit_uses_processes_and_a_short_one_does_not(monkeypatch, digits, cores):
    X, y = digits[0][:100], digits[2][:100]
    used = []
    monkeypatch.setattr(Together, "__enter__", lambda self: used.append(self) or self)
    classifier().fit(X, y)
    assert not used
    for name in ("SECONDS_TO_START", "SECONDS_TO_SHARE"):  # whether or not others wait for work
        monkeypatch.setattr(f"sknpcnn._engine.workers.{name}", 1e-9)
    monkeypatch.setattr("sknpcnn._training.together.SECONDS_PER_STEP", 0)
    classifier().fit(X, y)
    assert len(used) == 1
    classifier(n_jobs=1).fit(X, y)
    for backend in ("threading", "sequential"):
        with parallel_config(backend=backend):
            classifier().fit(X, y)
    joblib.Parallel(2, backend="threading")(
        joblib.delayed(classifier().fit)(X, y) for _ in range(2)
    )
    assert len(used) == 1


def test_workers_are_kept_for_the_next_fit_and_go_when_idle(monkeypatch, digits, cores):
    X, y = digits[0][:100], digits[2][:100]
    with parallel_config(backend="loky"):
        classifier().fit(X, y)
        kept = children()
        classifier().fit(X, y)
        assert children() == kept != []
        monkeypatch.setattr("sknpcnn._engine.processes.IDLE_SECONDS", 0.2)
        classifier().fit(X, y)
    assert gone(kept)


@dataclass(frozen=True, repr=False)
class Failing(Identity):
    """Fails in every process but one."""

    leader: int = 0

    def forward(self, params, x, ctx):
        if os.getpid() != self.leader:
            raise ArithmeticError("only here")
        return x, None


def test_an_error_that_only_a_worker_has_costs_time_but_no_bit(digits, cores):
    X, y = digits[0][:600], digits[2][:600]
    layers = [Conv2D(64), Failing(os.getpid()), ReLU(), Flatten()]  # several chunks
    params = {"layers": layers, "max_iter": 2, "batch_size": 300, "random_state": 0, "n_jobs": 2}
    alone = NumpyCNNClassifier(**params).fit(X, y)
    with parallel_config(backend="loky"), pytest.warns(RuntimeWarning, match="only here") as seen:
        together = NumpyCNNClassifier(**params).fit(X, y)
    assert [w.filename for w in seen] == [__file__]
    assert_same(together, alone)


def test_an_error_of_a_layer_is_raised_as_it_is(digits, cores):
    layers = [Conv2D(4), Failing(-1), ReLU(), Flatten()]
    clf = NumpyCNNClassifier(layers=layers, max_iter=2, n_jobs=2)
    with parallel_config(backend="loky"), pytest.raises(ArithmeticError, match="only here"):
        clf.fit(digits[0], digits[2])
    assert gone(children())


@dataclass(frozen=True, repr=False)
class FailingInTraining(Identity):
    """Fails in one process, on mini-batches of 300 images."""

    leader: int = 0

    def forward(self, params, x, ctx):
        if os.getpid() == self.leader and ctx.samples == 300:
            raise OSError("my own file")
        return x, None


def test_an_error_that_only_the_leader_has_is_not_that_of_a_worker(digits, cores):
    layers = [Conv2D(64), FailingInTraining(os.getpid()), ReLU(), Flatten()]
    clf = NumpyCNNClassifier(layers=layers, max_iter=2, batch_size=300, n_jobs=2)
    with parallel_config(backend="loky"), pytest.raises(OSError, match="my own file"):
        clf.fit(digits[0][:600], digits[2][:600])
    assert gone(children())


def test_a_worker_that_cannot_be_started_costs_no_bit(digits, cores, monkeypatch):
    X, y = digits[0][:200], digits[2][:200]
    alone = classifier().fit(X, y)
    monkeypatch.setattr(sys, "executable", str(Path(sys.executable).with_name("python-missing")))
    with parallel_config(backend="loky"), pytest.warns(RuntimeWarning, match="cannot be started"):
        assert_same(classifier().fit(X, y), alone)


@pytest.mark.parametrize("n_kills", [3, pytest.param(30, marks=pytest.mark.slow)])
def test_a_worker_that_is_killed_costs_time_but_no_bit(n_kills, digits, cores):
    X, y = digits[0][:400], digits[2][:400]
    alone = classifier(batch_norm=True, max_iter=8).fit(X, y)
    rng, killed = np.random.default_rng(0), 0
    while killed < n_kills:
        together = classifier(batch_norm=True, max_iter=8)
        killer = threading.Timer(rng.uniform(0, 0.8), kill_workers)
        with parallel_config(backend="loky"), warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            killer.start()
            together.fit(X, y)
        killer.join()
        assert_same(together, alone)
        lost = [w for w in seen if "worker" in str(w.message)]
        assert len(lost) == len(seen) <= 1
        killed += len(lost)


def test_a_process_that_is_forked_between_epochs_finishes_its_own_fit(digits, cores):
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    X, y = digits[0][:200], digits[2][:200]
    expected, forked = classifier().fit(X, y), []

    def fork(context):
        if not forked:
            forked.append(os.fork())

    together = classifier().set_callbacks(Callback(end=fork))
    status = 1
    try:
        with parallel_config(backend="loky"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            together.fit(X, y)
        assert_same(together, expected)
        status = 0
    finally:
        if forked == [0]:
            os._exit(status)
    assert ended(forked[0]) == 0


def test_no_room_in_memory_for_shared_blocks(monkeypatch, tmp_path, digits, cores):
    X, y = digits[0][:200], digits[2][:200]
    expected = classifier().fit(X, y)
    reserve, small = shared.reserve, tmp_path / "small"
    small.mkdir()

    def refuse(file, size):
        if str(small) in str(Path(f"/proc/self/fd/{file}").readlink()):
            raise OSError(28, "No space left on device")
        reserve(file, size)

    for place in (small, tmp_path / "none"):
        monkeypatch.setattr(shared, "IN_MEMORY", place)
        monkeypatch.setattr(shared, "reserve", refuse)
        with parallel_config(backend="loky"):
            assert_same(classifier().fit(X, y), expected)
        assert not list(small.iterdir())


def test_two_fits_at_once_share_the_cores(digits, monkeypatch):
    monkeypatch.setattr("sknpcnn._engine.workers.count_cores", lambda: 2)
    monkeypatch.setattr(BlasGuard, "threads_allowed", lambda self: 2)
    X, y = digits[0][:300], digits[2][:300]
    expected = classifier().fit(X, y)
    first, second = classifier(n_jobs=None), classifier(n_jobs=None)
    most = []

    def fit(clf, callback):
        with parallel_config(backend="loky"):
            clf.set_callbacks(callback).fit(X, y)

    def count(context):
        most.append((pool.working, claims.taken()))

    def begin():
        thread = threading.Thread(target=fit, args=(second, Callback(end=count)))
        thread.start()
        thread.join(PATIENCE)

    fit(first, Callback(end=in_epoch(1, begin)))
    assert_same(first, expected)
    assert_same(second, expected)
    assert set(most) == {(1, 2)}, "the second one has no worker"


def test_workers_sleep_while_the_leader_is_busy(digits, cores):
    used = []

    def pause(context):
        before = sum(map(cpu_seconds, children()))
        Event().wait(1.0)
        used.append(sum(map(cpu_seconds, children())) - before)

    clf = classifier(max_iter=2).set_callbacks(Callback(end=pause))
    with parallel_config(backend="loky"):
        clf.fit(digits[0], digits[2])
    assert max(used) < 0.1


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


SCRIPT = """
from dataclasses import dataclass
import os, sys, threading
import numpy as np
from joblib import parallel_config
from sknpcnn import NumpyCNNClassifier
from sknpcnn.layers import Conv2D, Flatten, Identity, ReLU
import sknpcnn._engine.workers as workers

workers.count_cores = lambda: 2

@dataclass(frozen=True, repr=False)
class Mine(Identity):
    def forward(self, params, x, ctx):
        return x, None

def fit(max_iter, **params):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(600, 16, 16)), rng.integers(3, size=600)
    clf = NumpyCNNClassifier(
        layers=[Conv2D(16), Mine(), ReLU(), Conv2D(16), ReLU(), Flatten()],
        max_iter=max_iter, n_iter_no_change=np.inf, random_state=0, n_jobs=2, **params
    )
    with parallel_config(backend="loky"):
        return clf.fit(X, y)
"""


def running(more, **options):
    """Start a program that trains until it is ended; return it after its first line."""
    program = subprocess.Popen(
        [sys.executable, "-c", SCRIPT + textwrap.dedent(more)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    program.stdout.readline()
    return program


def test_layers_of_the_users_script_need_no_main_guard():
    more = """
    clf = fit(2)
    X = np.random.default_rng(1).normal(size=(3000, 16, 16))
    alone = clf.predict_proba(X)
    with parallel_config(backend="loky"):
        together = clf.predict_proba(X)
    print(len(clf.history_), (alone == together).all(), workers.pool.has_idle(1))
    """
    assert run_python("-W", "error", "-c", SCRIPT + textwrap.dedent(more)) == "2 True True\n"


def test_a_prediction_survives_the_loss_of_its_worker(digits, cores, monkeypatch):
    X = digits[0].repeat(3, axis=0)
    clf = classifier(max_iter=1).fit(digits[0], digits[2])
    alone = clf.predict_proba(X)
    call = ProcessTeam.call

    def kill(team, *args):
        for pid in team.pids():
            os.kill(pid, signal.SIGSTOP)  # before it can be done
        call(team, *args)
        for pid in team.pids():
            os.kill(pid, signal.SIGKILL)

    monkeypatch.setattr(ProcessTeam, "call", kill)
    with parallel_config(backend="loky"), pytest.warns(RuntimeWarning, match="died") as seen:
        together = clf.predict_proba(X)
    assert [w.filename for w in seen] == [__file__]
    np.testing.assert_array_equal(together, alone)


ENDLESS = """
import sys
from sknpcnn._training import loop
original = loop.Trainer.run_epoch
def run_epoch(*args):
    found = original(*args)
    print("epoch", flush=True)
    return found
loop.Trainer.run_epoch = run_epoch
"""


def test_nothing_is_left_of_a_leader_that_is_killed():
    program = running(ENDLESS + "fit(100000)")
    workers = children(program.pid)
    assert len(workers) == 1
    program.kill()
    program.communicate()
    assert gone(workers)
    assert not files_of(program.pid)


def test_ctrl_c_for_all_processes_ends_the_fit_and_leaves_none():
    more = "fit(100000)\nprint('kept', len(workers.pool._idle), flush=True)"
    program = running(ENDLESS + more, start_new_session=True)
    program.stdout.readline()  # in the second epoch: now there is a model to keep
    workers = children(program.pid)
    os.killpg(program.pid, signal.SIGINT)
    out, err = program.communicate(timeout=PATIENCE)
    assert "interrupted" in err
    assert "Error" not in err
    assert out.endswith("kept 0\n")
    assert gone(workers)
    assert not files_of(program.pid)


def test_a_fit_in_a_daemon_thread_does_not_outlive_the_program():
    more = """
    threading.Thread(target=fit, args=(100000,), daemon=True).start()
    while not workers.pool.working:
        pass
    print("started", flush=True)
    sys.stdin.readline()
    """
    program = running(more, stdin=subprocess.PIPE)
    workers = children(program.pid)
    _, err = program.communicate("end", timeout=PATIENCE)
    assert program.returncode == 0, err
    assert gone(workers)
    assert not files_of(program.pid)


def test_a_fit_within_an_event_loop():
    found = run_python(
        "-c",
        SCRIPT
        + textwrap.dedent("""
        import asyncio
        async def main():
            return await asyncio.to_thread(fit, 2), fit(2)
        one, two = asyncio.run(main())
        print((one._theta == two._theta).all())
    """),
    )
    assert found == "True\n"


def kill_workers():
    for pid in children():
        os.kill(pid, signal.SIGKILL)


def children(parent=None):
    """The worker processes of a process."""
    listed = subprocess.run(
        ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(parent or os.getpid())],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    return [int(line.split()[0]) for line in listed.splitlines() if "sknpcnn._engine" in line]


def gone(pids):
    """Wait until processes have ended; say whether they have."""
    end = time.monotonic() + PATIENCE
    while any(Path(f"/proc/{pid}/cmdline").exists() for pid in pids):
        if time.monotonic() > end:
            return False
        Event().wait(0.01)
    return True


def files_of(leader):
    places = {shared.IN_MEMORY, Path(tempfile.gettempdir())}
    return [found for place in places for found in place.glob(f"sknpcnn-{leader}-*")]
