"""Memory: beyond the data themselves, a fit needs as much of it for many samples as for few."""

import os
import shutil
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from sklearn import config_context

from sknpcnn import NumpyCNNClassifier
from sknpcnn.layers import AvgPool2D, Conv2D

pytestmark = pytest.mark.thread_unsafe(reason="measures the memory of the whole process")

STATUS = Path("/proc/self/status")
MB, GIB = 10**6, 2**30
SIDE = 512
SCORED = {"early_stopping": True, "validation_fraction": 0.5}


def status(name):
    """What the system says of this process, in bytes."""
    values = dict(line.split(":") for line in STATUS.read_text().splitlines())
    return int(values[name].split()[0]) * 1024


def fit_within(path, allowance, copy=False, **params):
    """Fit and predict with no more address space than there is now and the allowance.

    Prints by how much the memory grew that is no page of a file: those the system may drop.
    """
    import resource

    X = np.load(path, mmap_mode="r")
    clf = NumpyCNNClassifier(
        layers=[AvgPool2D(SIDE // 8)], max_iter=1, batch_size=32, n_jobs=2, random_state=0, **params
    )
    seen, done = [status("RssAnon")], threading.Event()

    def watch():
        while not done.wait(0.02):
            seen.append(status("RssAnon"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    limit = status("VmSize") + allowance
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        clf.fit(np.array(X) if copy else X, np.arange(len(X)) % 2).predict(X[-500:])
    finally:
        done.set()
        watcher.join()
    print(max(seen) - seen[0])


def growth(*args, **params):
    """Call ``fit_within`` in a process of its own; return what it prints."""
    program = (
        f"from tests.engine.test_memory import fit_within; fit_within(*{args!r}, **{params!r})"
    )
    home = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=home, capture_output=True, text=True, timeout=600
    )
    if "MemoryError" in done.stderr:
        raise MemoryError(done.stderr)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.fixture
def sparse(tmp_path):
    """Make a file of so many bytes of images, all different, that hardly takes place on disk."""
    if not (STATUS.exists() and "RssAnon" in STATUS.read_text()):
        pytest.skip("this system does not tell how much memory a process has")
    path = tmp_path / "X.npy"

    def make(size):
        if shutil.disk_usage(tmp_path).free < 1.1 * size:
            pytest.skip("little space, if the files are not sparse or memory is the disk")
        n = size // SIDE**2
        start = np.lib.format.open_memmap(path, "w+", np.uint8, (n, SIDE, SIDE)).offset
        with path.open("r+b") as file:  # through the map, a whole run of pages would be written
            for i in range(n):
                file.seek(start + i * SIDE**2)
                file.write(i.to_bytes(4, "big"))
            os.fsync(file)
        if path.stat().st_blocks * 512 > size / 10:
            pytest.skip("files are not sparse here")
        return str(path)

    yield make
    path.unlink(missing_ok=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "allowance", "params"),
    [
        pytest.param(4 * GIB, 400 * MB, {}, id="plain"),
        # more is held out than is allowed; a smaller file, as hashing what is in it takes its time
        pytest.param(GIB // 2, 250 * MB, SCORED, id="early stopping"),
        pytest.param(GIB // 2, 250 * MB, SCORED | {"scoring": "accuracy"}, id="scorer"),
    ],
)
def test_fit_on_a_large_file_stays_within_its_allowance(sparse, size, allowance, params):
    assert growth(sparse(size), allowance, **params) < allowance


@pytest.mark.slow
def test_copy_of_the_data_would_be_seen(sparse):
    with pytest.raises(MemoryError, match="Unable to allocate"):
        growth(sparse(GIB // 2), 250 * MB, copy=True)


@pytest.fixture(scope="module")
def small_images(tmp_path_factory):
    path = tmp_path_factory.mktemp("memory") / "X.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (40_000, 16, 16), dtype=np.uint8))
    return np.load(path, mmap_mode="r")


@pytest.mark.slow
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"standardize": False},  # so that nothing hides what training needs
        {"standardize": False, "dropout": 0.5, "batch_norm": True},
        {"class_weight": "balanced"},
        SCORED,
        SCORED | {"scoring": "accuracy"},
    ],
    ids=str,
)
def test_peak_does_not_depend_on_the_number_of_samples(params, small_images):
    clf = NumpyCNNClassifier(
        (2,), pool_size=4, hidden_layer_sizes=(), max_iter=1, n_jobs=1, random_state=0, **params
    )

    def peak(n):
        X, y = small_images[:n], np.arange(n) % 2
        tracemalloc.start()
        clf.fit(X, y)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    few, many = 2_000, 40_000
    peak(few)  # what is imported and cached on the way
    # a few values per sample, such as its class and its position; an image has 256 bytes
    assert peak(many) - peak(few) < 0.5 * MB + 48 * (many - few)


def test_predictions_keep_to_the_working_memory_of_scikit_learn():
    """The dense layer sees some hundred images at once, each of 65,536 elements here; or fewer."""
    X, y = np.zeros((512, 32, 32), np.float32), np.arange(512) % 2
    clf = NumpyCNNClassifier(layers=[Conv2D(64, 1)], max_iter=1, n_jobs=1).fit(X[:8], y[:8])

    def predicted(megabytes):
        with config_context(working_memory=megabytes):
            tracemalloc.start()
            found = clf.predict_proba(X)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return found, peak

    (much, most), (little, least) = predicted(1024), predicted(8)
    np.testing.assert_allclose(little, much, rtol=1e-5)
    assert least < 16 * MB < 100 * MB < most
