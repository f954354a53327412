"""What all loaders have in common, and the real data, if they are available."""

import inspect
import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.utils import Bunch

from sknpcnn import datasets
from sknpcnn.datasets import load_cifar10, load_idx, load_mnist
from tests.datasets.children import load_in_child
from tests.datasets.files import write_cifar10, write_mnist
from tests.processes import python


def real(name):
    folder = Path(os.environ.get("SKNPCNN_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (folder / name).is_dir():
        pytest.skip(f"{name} is not here; SKNPCNN_DATA may name the folder that holds it")
    return folder / name


@pytest.fixture(params=[(write_mnist, load_mnist), (write_cifar10, load_cifar10)])
def written(request, tmp_path):
    """A folder with a small set of data, what is in it by part, and its loader."""
    write, load = request.param
    return tmp_path, write(tmp_path), load


def test_training_part_is_the_default(written):
    folder, parts, load = written
    X, y = load(folder, return_X_y=True)
    np.testing.assert_array_equal(X, parts["train"][0])
    np.testing.assert_array_equal(y, parts["train"][1])


def test_all_is_the_training_part_and_then_the_test_part(written):
    folder, parts, load = written
    X, y = load(folder, split="all", return_X_y=True)
    np.testing.assert_array_equal(X, np.concatenate([parts["train"][0], parts["test"][0]]))
    np.testing.assert_array_equal(y, np.concatenate([parts["train"][1], parts["test"][1]]))


def test_bunch_holds_what_is_returned_as_a_pair(written):
    folder, _, load = written
    bunch = load(folder, split="test")
    X, y = load(folder, split="test", return_X_y=True)
    assert isinstance(bunch, Bunch)
    assert set(bunch) == {"data", "target", "target_names", "DESCR"}
    np.testing.assert_array_equal(bunch.data, X)
    np.testing.assert_array_equal(bunch.target, y)
    assert (X.dtype, y.dtype) == (np.uint8, np.int64)
    assert len(bunch.target_names) == 10
    assert "60,000" in bunch.DESCR or "50,000" in bunch.DESCR


def test_arrays_are_contiguous_and_can_be_written_to(written):
    folder, _, load = written
    for array in load(folder, return_X_y=True):
        assert array.flags.c_contiguous
        assert array.flags.writeable


def test_names_of_one_answer_can_be_changed_without_changing_the_next(written):
    folder, _, load = written
    load(folder).target_names[0] = "something else"
    assert "something else" not in load(folder).target_names


def test_folder_may_be_a_string_and_begin_with_the_home(written, monkeypatch):
    folder, parts, load = written
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setenv("USERPROFILE", str(folder.parent))
    assert len(load(f"~/{folder.name}").data) == len(parts["train"][0])


@pytest.mark.parametrize("split", ["validation", None, ["train"], 0])
def test_unknown_part_is_refused(written, split):
    folder, _, load = written
    with pytest.raises(ValueError, match=r"split=.*needed: 'train', 'test' or 'all'"):
        load(folder, split=split)


def test_error_names_the_folder_that_is_missing(written):
    folder, _, load = written
    with pytest.raises(FileNotFoundError, match=r"elsewhere is not a folder"):
        load(folder / "elsewhere")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("load_mnist", "train-images-idx3-ubyte"),
        ("load_mnist", "train-labels-idx1-ubyte"),
        ("load_idx", "train-images-idx3-ubyte"),
        ("load_idx", "train-labels-idx1-ubyte"),
        ("load_cifar10", "data_batch_3"),
        ("load_cifar10", "batches.meta"),
        ("load_cifar10", "data_batch_3.bin"),
        ("load_cifar10", "batches.meta.txt"),
    ],
)
def test_named_pipe_is_refused_and_not_waited_for(tmp_path, name, file):
    if "cifar" in name:
        write_cifar10(tmp_path, binary="." in file and file != "batches.meta")
    else:
        write_mnist(tmp_path)
    (tmp_path / file).unlink(missing_ok=True)
    os.mkfifo(tmp_path / file)
    pair = [tmp_path / f"train-{stem}-ubyte" for stem in ("images-idx3", "labels-idx1")]
    said, _ = load_in_child(name, *(pair if name == "load_idx" else [tmp_path]))
    assert said == f"ValueError: {tmp_path / file}: is a named pipe; needed: a regular file."


def test_what_has_no_content_of_its_own_is_refused(tmp_path):
    write_mnist(tmp_path)
    images, labels = (tmp_path / f"train-{k}-ubyte" for k in ("images-idx3", "labels-idx1"))
    with pytest.raises(IsADirectoryError, match="needed: a regular file"):
        load_idx(images, tmp_path)
    if Path("/dev/zero").exists():
        with pytest.raises(ValueError, match="/dev/zero: is a device; needed: a regular file"):
            load_idx("/dev/zero", labels)
        images.unlink()
        images.symlink_to("/dev/zero")
        with pytest.raises(ValueError, match="ubyte: is a device; needed: a regular file"):
            load_mnist(tmp_path)


def test_link_to_a_file_is_followed_and_a_loop_of_links_is_not(tmp_path):
    write_mnist(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to("elsewhere")
    assert len(load_mnist(tmp_path).data) == 20
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(OSError, match=str(path)):
        load_idx(path, tmp_path / "train-labels-idx1-ubyte")


WITHOUT_LABELS = {"ImageLoader", "load_images"}


@pytest.mark.parametrize("name", sorted({*datasets.__all__} - WITHOUT_LABELS))
def test_every_loader_can_return_a_pair(name):
    parameter = inspect.signature(getattr(datasets, name)).parameters["return_X_y"]
    assert parameter.default is False
    assert parameter.kind is parameter.KEYWORD_ONLY


def test_importing_the_loaders_brings_neither_pillow_nor_scikit_learns_datasets():
    loaded = set(python("import sys, sknpcnn.datasets; print(*sys.modules)").split())
    assert "sknpcnn.datasets.folder" in loaded
    assert not loaded & {"PIL", "sklearn.datasets"}


def test_real_mnist():
    X, y = load_mnist(real("mnist"), return_X_y=True)
    assert X.shape == (60_000, 28, 28)
    assert X.mean() == pytest.approx(33.318421, abs=1e-6)
    assert np.bincount(y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    X, y = load_mnist(real("mnist"), split="test", return_X_y=True)
    assert X.shape == (10_000, 28, 28)
    assert X.mean() == pytest.approx(33.791224, abs=1e-6)
    assert np.bincount(y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_real_cifar10():
    train = load_cifar10(real("cifar-10-batches-py"))
    assert train.data.shape == (50_000, 32, 32, 3)
    assert train.data.flags.c_contiguous
    np.testing.assert_allclose(
        train.data.mean((0, 1, 2)), [125.306918, 122.950394, 113.865383], atol=1e-6
    )
    assert np.bincount(train.target).tolist() == [5000] * 10
    assert train.target_names[:2] == ["airplane", "automobile"]
    assert train.target_names[train.target[0]] == "frog"
    X, y = load_cifar10(real("cifar-10-batches-py"), split="test", return_X_y=True)
    assert X.shape == (10_000, 32, 32, 3)
    assert np.bincount(y).tolist() == [1000] * 10
