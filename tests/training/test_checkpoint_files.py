"""Files of checkpoints that are not what they should be, and disks."""

import errno
import os
import resource
import shutil
import signal
import warnings
from pathlib import Path

import numpy as np
import pytest

from sknpcnn._storage import storage
from tests.models import assert_same
from tests.training.checkpointed import (
    checkpointed,
    in_a_process,
    interrupted,
)


def damages(content):
    rng = np.random.default_rng(0)
    yield "empty", b""
    yield "cut", content[: len(content) // 2]
    yield "no archive", b"something else"
    for place in rng.integers(0, len(content), 40):
        yield (
            f"byte {place}",
            content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :],
        )


def test_a_damaged_file_is_refused_with_a_warning_and_training_starts_anew(data, tmp_path):
    whole = checkpointed(max_iter=2).fit(*data)
    interrupted(checkpointed(tmp_path, max_iter=2), *data, 2)
    (file,) = tmp_path.iterdir()
    content, refused = file.read_bytes(), 0
    for _, damaged in damages(content):
        file.write_bytes(damaged)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = checkpointed(tmp_path, max_iter=2).fit(*data)
        for warning in caught:
            assert "The checkpoint cannot be used, and training starts from scratch" in str(
                warning.message
            )
            assert str(file) in str(warning.message)
            assert warning.filename == __file__
        refused += len(caught)
        assert_same(found, whole)  # or the damage was where it does no harm
    assert refused > 30


def test_a_file_of_another_fit_is_refused(data, tmp_path):
    checkpointed(tmp_path / "a").fit(*data)
    checkpointed(tmp_path / "b", random_state=1).fit(*data)
    (mine,), (foreign,) = (list((tmp_path / name).iterdir()) for name in "ab")
    shutil.copy(foreign, mine)
    with pytest.warns(UserWarning, match=r"is not a checkpoint of this fit \(\['fingerprint'"):
        assert_same(checkpointed(tmp_path / "a").fit(*data), checkpointed().fit(*data))


def test_a_file_of_another_version_is_refused(data, tmp_path):
    checkpointed(tmp_path).fit(*data)
    (file,) = tmp_path.iterdir()
    values, arrays = storage.read(file)
    storage.write(file, values | {"version": 99}, arrays)
    with pytest.warns(UserWarning, match=r"\['version'\]"):
        checkpointed(tmp_path).fit(*data)


MADE_UP = {
    "curve": [["a"], [], [float("nan")] * 4, None],
    "history": [[], [1, 2, 3, 4], [{}] * 4, [{"train_loss": 1.0}] * 4, "abcd"],
    "best": ["x", float("inf"), 1],
    "epoch": [-7, 10**6, 3, "4", None],
    "step": [-1, 10**30, 0, 1.5],
    "stage": ["finished", 1, None],
    "rule": ["SGD", None],
}


@pytest.mark.parametrize("name", MADE_UP)
def test_made_up_values_are_refused(data, tmp_path, name):
    interrupted(checkpointed(tmp_path), *data, 5)
    (file,) = tmp_path.iterdir()
    values, arrays = storage.read(file)
    whole = checkpointed().fit(*data)
    for made_up in MADE_UP[name]:
        storage.write(file, values | {name: made_up}, arrays)
        with pytest.warns(UserWarning, match=f"is not a checkpoint of this fit.*{name}|lengths"):
            assert_same(checkpointed(tmp_path).fit(*data), whole)


def test_made_up_arrays_are_refused(data, tmp_path):
    interrupted(checkpointed(tmp_path), *data, 5)
    (file,) = tmp_path.iterdir()
    values, arrays = storage.read(file)
    for name, array in arrays.items():
        for made_up in (np.full_like(array, np.nan), array[1:], array.astype("f4")):
            storage.write(file, values, arrays | {name: made_up})
            with pytest.warns(UserWarning, match=rf"is not a checkpoint of this fit.*{name}"):
                checkpointed(tmp_path, max_iter=6).fit(*data)


def test_nothing_in_a_file_is_executed(data, tmp_path):
    checkpointed(tmp_path).fit(*data)
    (file,) = tmp_path.iterdir()

    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    np.savez(file, theta=np.array([Trap()], dtype=object))
    with pytest.warns(UserWarning, match="cannot be used"):
        checkpointed(tmp_path).fit(*data)
    assert not (tmp_path / "sprung").exists()


def test_what_was_left_of_a_write_is_not_taken_for_a_checkpoint(data, tmp_path):
    interrupted(checkpointed(tmp_path), *data, 3)
    rest, old = (tmp_path / f".sknpcnn-{n}.tmp" for n in (1, 2))
    rest.write_bytes(b"cut sh")
    old.write_bytes(b"cut sh")
    os.utime(old, (0, 0))
    assert_same(checkpointed(tmp_path).fit(*data), checkpointed().fit(*data))
    assert rest.exists()  # somebody may be writing it
    assert not old.exists()


def test_a_folder_is_made_where_there_is_none(data, tmp_path):
    checkpointed(tmp_path / "new" / "folder").fit(*data)
    assert list((tmp_path / "new" / "folder").glob("*.npz"))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="Linux tells which file is open")
def test_everything_is_on_the_disk_before_it_counts(data, tmp_path, monkeypatch):
    """The file before it gets its name, then the folder that holds the name; new folders too."""
    done, fsync, replace = [], os.fsync, Path.replace

    def synced(descriptor):
        done.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    def replaced(source, target):
        done.append(f"{source} -> {target}")
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    folder = tmp_path / "new" / "newer"
    checkpointed(folder, max_iter=1).fit(*data)
    (file,) = folder.iterdir()
    assert set(done[:2]) == {str(tmp_path), str(tmp_path / "new")}
    writes = [done[i : i + 3] for i in range(2, len(done), 3)]
    assert len(writes) == 3  # at the beginning, after the epoch and at the end
    for written, renamed, in_folder in writes:
        assert written.startswith(f"{folder}/.sknpcnn-")
        assert renamed == f"{written} -> {file}"
        assert in_folder == str(folder)


def test_a_folder_that_cannot_be_used_is_an_error_and_the_fitted_model_survives(data, tmp_path):
    (tmp_path / "file").touch()
    clf = checkpointed().fit(*data)
    before = dict(vars(clf))
    clf.set_params(checkpoint_dir=tmp_path / "file" / "folder", alpha=1.0)
    with pytest.raises(OSError, match=r"cannot be used .*; needed: a folder that can be read and"):
        clf.fit(*data)
    assert {**vars(clf), "checkpoint_dir": None, "alpha": 0.0} == before


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may write everywhere")
def test_a_folder_without_permission_to_write_is_an_error(data, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="cannot be used"):
        checkpointed(tmp_path).fit(*data)
    tmp_path.chmod(0o700)


def test_a_full_disk_is_told_and_the_model_is_there_in_the_end(data, tmp_path):
    """Files may not grow beyond a size: the system refuses to write, as on a full disk."""

    def fit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        checkpointed(tmp_path, max_iter=1).fit(*data)
        (file,) = tmp_path.iterdir()
        size = file.stat().st_size
        # early stopping writes the best parameters too: the first file fits, the others do not
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1000, size + 1000))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = checkpointed(tmp_path, early_stopping=True).fit(*data)
        assert [warning.filename for warning in caught] == [__file__] * 7
        message = str(caught[0].message)
        assert "checkpoint of epoch 1 could not be written" in message
        assert os.strerror(errno.EFBIG) in message
        assert_same(found, checkpointed(early_stopping=True).fit(*data))
        assert not list(tmp_path.glob(".*"))

    assert os.waitpid(in_a_process(fit), 0)[1] == 0
