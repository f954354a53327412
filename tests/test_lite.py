"""Saved models predict the same where NumPy is the only package, and where no thread can start."""

import subprocess
import sys
import zipfile
from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest

import sknpcnn
from sknpcnn import NumpyCNNRegressor, architectures, lite
from sknpcnn.layers import GELU, BatchNorm, Conv2D, Residual, SqueezeExcite
from tests.models import small
from tests.project.test_numpy_alone import ALONE

pytestmark = pytest.mark.thread_unsafe(reason="starts processes")

NO_THREADS = """
import threading

def refuse(*args):
    raise RuntimeError("can't start new thread")

threading.Thread.start = refuse
"""


def images(n, *shape):
    return np.random.default_rng(0).uniform(0, 255, (n, *shape)).astype(np.float32)


def alone(code, *args, folder):
    """Run code where other packages cannot be imported, nor threads started."""
    known = ALONE.replace('"sknpcnn"', '"sknpcnn", "predictor"')
    script = f"{known}\n{NO_THREADS}\nimport sys\nimport numpy as np\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, args)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(sknpcnn.__path__[0] + "/..")} if "lite" in code else {},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def stack():
    block = [Conv2D(8, bias=False), BatchNorm(), GELU(), SqueezeExcite(2)]
    return [Conv2D(8, 3, stride=2), Residual(block), GELU()]


MODELS = {
    "classifier": lambda X: small().fit(X, np.arange(len(X)) % 3),
    "strings": lambda X: small().fit(X, np.array(["b", "a"])[np.arange(len(X)) % 2]),
    "stack": lambda X: small(layers=stack()).fit(X, np.arange(len(X)) % 3),
    "labels": lambda X: small().fit(X, np.random.default_rng(0).integers(0, 2, (len(X), 3))),
    "regressor": lambda X: NumpyCNNRegressor(conv_filters=4, max_iter=2, random_state=0).fit(
        X, X.mean(axis=(1, 2, 3))
    ),
    "double": lambda X: small(dtype=np.float64, standardize=False).fit(
        X / 255, np.arange(len(X)) % 2
    ),
    "resumable": lambda X: small(warm_start=True).fit(X, np.arange(len(X)) % 3),
}


@pytest.mark.parametrize("name", MODELS)
def test_predictions_are_those_of_the_estimator(name, tmp_path):
    X = images(40, 9, 8, 2)
    model = MODELS[name](X)
    sknpcnn.save(model, tmp_path / "model.npz")
    predictor = lite.load(tmp_path / "model.npz")
    assert predictor.image_shape_ == (9, 8, 2)
    X = X / 255 if name == "double" else X
    for given in (X, X[:3], X.reshape(40, -1), X[:1], X[1:2], X.astype(np.float64)):
        np.testing.assert_array_equal(predictor.predict(given), model.predict(given))
        if name != "regressor":
            np.testing.assert_array_equal(
                predictor.predict_proba(given), model.predict_proba(given)
            )
    if name == "regressor":
        assert not hasattr(predictor, "classes_")
        with pytest.raises(AttributeError, match="A regressor has no probabilities"):
            predictor.predict_proba(X)
    else:
        np.testing.assert_array_equal(predictor.classes_, model.classes_)
    threads = lite.load(tmp_path / "model.npz", n_threads=2)
    np.testing.assert_array_equal(threads.predict(X), model.predict(X))


@pytest.mark.parametrize("name", ["lenet", "resnet20", "mobilenet_small", "squeezenet_small"])
def test_architectures(name, tmp_path):
    X = images(20, 28, 28, 1)
    model = small(layers=getattr(architectures, name)(), max_iter=1).fit(X, np.arange(20) % 10)
    sknpcnn.save(model, tmp_path / "model.npz")
    p = lite.load(tmp_path / "model.npz").predict_proba(X)
    np.testing.assert_array_equal(p, model.predict_proba(X))


def test_without_other_packages_and_threads(tmp_path):
    X = images(40, 9, 8, 2)
    model = MODELS["stack"](X)
    sknpcnn.save(model, tmp_path / "model.npz")
    np.save(tmp_path / "X.npy", X)
    alone(
        "from sknpcnn import lite\n"
        "X, model = np.load('X.npy'), lite.load('model.npz')\n"
        "np.save('p.npy', model.predict_proba(X))\n"
        "loaded = {m.partition('.')[0] for m in sys.modules}\n"
        "assert not loaded & {'sklearn', 'scipy', 'joblib', 'pandas'}",
        folder=tmp_path,
    )
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), model.predict_proba(X), atol=1e-5)


def test_an_archive_predicts_by_itself(tmp_path):
    X = images(40, 9, 8, 2)
    model = MODELS["resumable"](X)
    sknpcnn.save(model, tmp_path / "model.npz")
    lite.export(tmp_path / "model.npz", tmp_path / "predictor.zip")
    np.save(tmp_path / "X.npy", X)
    alone(
        "sys.path.insert(0, 'predictor.zip')\n"
        "import predictor\n"
        "np.savez('found.npz', p=predictor.predict_proba(np.load('X.npy')), "
        "y=predictor.predict(np.load('X.npy')), classes=predictor.classes_)\n"
        "modules = [m for n, m in sys.modules.items() if n.startswith('sknpcnn')]\n"
        "assert all('predictor.zip' in m.__file__ for m in modules)",
        folder=tmp_path,
    )
    found = np.load(tmp_path / "found.npz")
    np.testing.assert_allclose(found["p"], model.predict_proba(X), atol=1e-5)
    np.testing.assert_array_equal(found["y"], model.predict(X))
    with zipfile.ZipFile(tmp_path / "predictor.zip") as archive:
        weights = archive.getinfo("model.npz").compress_size
        assert b"memory" not in archive.read("model.npz")  # of the optimizer
    assert (tmp_path / "predictor.zip").stat().st_size - weights < 150_000


def test_the_same_model_makes_the_same_archive(tmp_path):
    sknpcnn.save(MODELS["classifier"](images(12, 6, 6, 1)), tmp_path / "model.npz")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        lite.export(tmp_path / "model.npz", tmp_path / name / "predictor.zip")
    one, other = ((tmp_path / name / "predictor.zip").read_bytes() for name in ("a", "b"))
    assert one == other


def test_models_are_read_from_open_files(tmp_path):
    X = images(12, 6, 6, 1)
    model = MODELS["classifier"](X)
    sknpcnn.save(model, tmp_path / "model.npz")
    content = (tmp_path / "model.npz").read_bytes()
    np.testing.assert_array_equal(lite.load(BytesIO(content)).predict(X), model.predict(X))
    with pytest.raises(ValueError, match="The model: is not an intact file"):
        lite.load(BytesIO(content[:-5]))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (
            np.zeros((2, 5, 6)),
            r"X has the shape \(2, 5, 6\); needed: images \(n, 6, 6, 1\), or rows",
        ),
        (np.zeros((6, 6)), "needed: images"),
        (np.zeros((0, 6, 6)), "needed: images"),
        (np.full((1, 36), np.nan), "not finite"),
        (np.full((1, 36), "a"), "the dtype <U1; needed: numbers"),
    ],
)
def test_other_input_is_refused(X, message, tmp_path):
    sknpcnn.save(MODELS["classifier"](images(12, 6, 6, 1)), tmp_path / "model.npz")
    with pytest.raises(ValueError, match=message):
        lite.load(tmp_path / "model.npz").predict(X)


@pytest.mark.parametrize("n_threads", [0, -1, 1.5, "2", None])
def test_numbers_of_threads_are_checked(n_threads, tmp_path):
    with pytest.raises(ValueError, match=r"n_threads=.*; needed: an integer of at least 1"):
        lite.load(tmp_path / "model.npz", n_threads=n_threads)


def test_damaged_files_are_refused(tmp_path):
    sknpcnn.save(MODELS["classifier"](images(12, 6, 6, 1)), tmp_path / "model.npz")
    content = bytearray((tmp_path / "model.npz").read_bytes())
    rng = np.random.default_rng(0)
    for _ in range(200):
        changed = content.copy()
        changed[rng.integers(len(changed))] ^= 1 << rng.integers(8)
        with suppress(ValueError):  # any other error is a bug
            lite.load(BytesIO(bytes(changed)))


def test_a_model_of_an_older_version():
    path = sknpcnn.__path__[0] + "/../tests/data/model_1.npz"
    X = images(5, *sknpcnn.load(path).image_shape_) / 16
    np.testing.assert_array_equal(lite.load(path).predict(X), sknpcnn.load(path).predict(X))
