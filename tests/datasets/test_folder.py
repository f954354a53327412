"""Folders of images: sorted into classes, brought to one size, and each one named that is not."""

import errno
import os
import re

import numpy as np
import pytest

from sknpcnn.datasets import load_image_folder, reading
from tests.datasets.children import load_in_child
from tests.datasets.files import said, write

Image = pytest.importorskip("PIL.Image")

pytestmark = pytest.mark.thread_unsafe(reason="limits and decoders are changed, which all use")


def test_sub_folders_are_classes_in_the_order_of_their_names(pets):
    folder, pixels = pets
    found = load_image_folder(folder, size=None)
    np.testing.assert_array_equal(found.data, pixels)
    assert found.target.tolist() == [0, 0, 1]
    assert (found.data.dtype, found.target.dtype) == (np.uint8, np.int64)
    assert found.target_names == ["cat", "dog"]
    names = [folder / "cat" / "a.bmp", folder / "cat" / "b.png", folder / "dog" / "a.png"]
    assert found.filenames == [str(name) for name in names]
    assert str(folder) in found.DESCR
    X, y = load_image_folder(folder, size=None, return_X_y=True)
    np.testing.assert_array_equal(X, found.data)
    np.testing.assert_array_equal(y, found.target)


def test_images_of_any_size_are_brought_to_one(pets):
    folder, _ = pets
    write(folder / "dog" / "b.png", np.full((20, 10, 3), 77))
    found = load_image_folder(folder, size=(8, 5))
    assert found.data.shape == (4, 8, 5, 3)
    assert (found.data[3] == 77).all()
    assert load_image_folder(folder, size=7).data.shape == (4, 7, 7, 3)


def test_image_of_another_size_is_named_if_none_is_asked_for(pets):
    folder, _ = pets
    write(folder / "dog" / "b.png", np.zeros((6, 4, 3)))
    problem = r"is an image of 6 x 4 pixels, but .*a\.bmp is one of 4 x 6; needed: .*size="
    with pytest.raises(ValueError, match=said(folder / "dog" / "b.png", problem)):
        load_image_folder(folder, size=None)


def test_images_without_color_have_no_channels(pets):
    folder, pixels = pets
    found = load_image_folder(folder, size=None, color=False)
    luma = pixels @ [0.299, 0.587, 0.114]  # ITU-R 601
    assert found.data.shape == (3, 4, 6)
    np.testing.assert_allclose(found.data, luma, atol=1)


def test_other_files_and_hidden_ones_are_left_out(pets):
    folder, pixels = pets
    (folder / "readme.txt").write_text("three images")
    (folder / "cat" / "notes.txt").write_text("two images")
    (folder / "cat" / "._a.png").write_bytes(b"what macOS leaves in archives")
    (folder / "cat" / "folder.png").mkdir()
    (folder / ".cache").mkdir()
    write(folder / "stray.png", pixels[0])
    found = load_image_folder(folder, size=None)
    np.testing.assert_array_equal(found.data, pixels)
    assert found.target_names == ["cat", "dog"]


def test_class_without_images_is_named(pets):
    folder, pixels = pets
    (folder / "bird").mkdir()
    write(folder / "bird" / "deeper" / "1.png", pixels[0])
    message = f"{re.escape(str(folder / 'bird'))} holds no images; needed: at least one"
    with pytest.raises(ValueError, match=message):
        load_image_folder(folder, size=8)


def test_folder_without_classes_is_named(tmp_path):
    with pytest.raises(ValueError, match=f"{re.escape(str(tmp_path))} holds no sub-folders"):
        load_image_folder(tmp_path, size=8)
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder"):
        load_image_folder(tmp_path / "nowhere", size=8)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.EIO, "I/O error")])
def test_interrupt_and_failing_disk_are_no_fault_of_the_image(pets, monkeypatch, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(Image.Image, "load", fail)
    with pytest.raises(type(error)) as caught:
        load_image_folder(pets[0], size=8)
    assert caught.value is error


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_named_pipe_among_images_is_refused_and_not_waited_for(pets):
    path = pets[0] / "dog" / "b.png"
    os.mkfifo(path)
    outcome, _ = load_in_child("load_image_folder", pets[0], size=8)
    assert outcome == f"ValueError: {path}: is a named pipe; needed: a regular file."


def test_link_that_leads_nowhere_is_not_left_out(pets):
    path = pets[0] / "dog" / "b.png"
    path.symlink_to("elsewhere.png")
    with pytest.raises(FileNotFoundError, match=re.escape(str(path))):
        load_image_folder(pets[0], size=8)
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(OSError, match=re.escape(str(path))):
        load_image_folder(pets[0], size=8)
    path.unlink()
    path.symlink_to(pets[0] / "cat" / "a.bmp")
    assert len(load_image_folder(pets[0], size=8).data) == 4


def test_link_to_a_folder_above_is_a_class_like_any_other(pets):
    (pets[0] / "loop").symlink_to(pets[0])
    with pytest.raises(ValueError, match="loop holds no images; needed"):
        load_image_folder(pets[0], size=8)


@pytest.mark.parametrize("size", [None, 8])
def test_image_that_disappears_while_others_are_read_is_named(pets, monkeypatch, size):
    path = pets[0] / "dog" / "a.png"
    load = Image.Image.load

    def load_and_remove(image):
        path.unlink(missing_ok=True)
        return load(image)

    monkeypatch.setattr(Image.Image, "load", load_and_remove)
    with pytest.raises(FileNotFoundError, match=re.escape(str(path))):
        load_image_folder(pets[0], size=size)


def test_all_unreadable_files_are_named_in_one_error_or_left_out(pets, monkeypatch):
    folder, pixels = pets
    bad = [folder / "cat" / f"{i}.png" for i in range(3)]
    for path in bad:
        path.write_bytes(b"nothing")
    truncated = folder / "dog" / "b.png"
    write(truncated, np.random.default_rng(0).integers(256, size=(4, 6, 3)))
    truncated.write_bytes(truncated.read_bytes()[:-60])
    for size in (None, (4, 6)):
        with pytest.raises(ValueError, match="4 of 7 images cannot be read:\n") as caught:
            load_image_folder(folder, size=size)
        assert all(f"{path}: cannot be read" in str(caught.value) for path in [*bad, truncated])
        assert caught.value.__notes__ == ["With errors='warn' such files are skipped."]
        with pytest.warns(UserWarning, match=r"(?s)Skipped: 4 of 7.*2\.png") as warned:
            found = load_image_folder(folder, size=size, errors="warn")
        assert warned[0].filename == __file__
        np.testing.assert_array_equal(found.data, pixels)
        assert found.target.tolist() == [0, 0, 1]
        assert [name[-9:] for name in found.filenames] == ["cat/a.bmp", "cat/b.png", "dog/a.png"]
    monkeypatch.setattr(reading, "MAX_LISTED", 2)
    with pytest.raises(ValueError, match=r"(?s)1\.png.*\n  and 2 more\nneeded: "):
        load_image_folder(folder, size=8)


def test_folder_without_any_readable_image_is_refused(tmp_path):
    (tmp_path / "k").mkdir()
    for i in range(2):
        (tmp_path / "k" / f"{i}.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="2 of 2 images cannot be read"):
        load_image_folder(tmp_path, size=8, errors="warn")


@pytest.fixture
def parts(tmp_path):
    """Gray images 0, 1, 2 to train, and 3, 4 to test, where one class is missing."""
    for i, name in enumerate(
        ["train/ant/a", "train/bee/a", "train/cow/a", "test/bee/b", "test/dog/b"]
    ):
        write(tmp_path / f"{name}.png", np.full((2, 2), i))
    return tmp_path


@pytest.mark.parametrize(
    ("split", "target"), [("train", [0, 1, 2]), ("test", [1, 3]), ("all", [0, 1, 2, 1, 3])]
)
def test_classes_have_the_same_numbers_in_all_parts(parts, split, target):
    found = load_image_folder(parts, split=split, color=False)
    assert found.target_names == ["ant", "bee", "cow", "dog"]
    assert found.target.tolist() == target
    first = 3 if split == "test" else 0
    assert found.data[:, 0, 0].tolist() == list(range(first, first + len(target)))
    _, y = load_image_folder(parts, split=split, labels="names", return_X_y=True)
    assert y.tolist() == [found.target_names[k] for k in target]


def test_folder_of_parts_is_refused_without_a_split(parts):
    with pytest.raises(ValueError, match=r"train and test, .* split='train', 'test' or 'all'"):
        load_image_folder(parts)
    with pytest.raises(ValueError, match="split='validation'; needed: 'train', 'test' or 'all'"):
        load_image_folder(parts, split="validation")
    (parts / "test").rename(parts / "val")
    with pytest.raises(FileNotFoundError, match="holds no folder test; needed for split='all'"):
        load_image_folder(parts, split="all")
    assert load_image_folder(parts, split="train").target_names == ["ant", "bee", "cow"]
    (parts / "train").rename(parts / "Training")
    with pytest.raises(ValueError, match=r"sub-folders are the classes, load '.*Training'"):
        load_image_folder(parts)


def test_train_and_test_may_be_classes(tmp_path):
    for name in ("train", "test", "plane"):
        write(tmp_path / name / "1.png", np.zeros((2, 2)))
    assert load_image_folder(tmp_path).target_names == ["plane", "test", "train"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"color": "no"}, "color='no'; needed: True for three channels"),
        ({"color": "gray"}, "color='gray'; needed: True for three channels"),
        ({"color": 0}, "color=0; needed: True"),
        ({"fit": "cover"}, "fit='cover'; needed: 'stretch', 'crop' or 'pad'"),
        ({"background": "none"}, "background='none'; needed: the name of a color"),
        ({"background": (0, 0, 256)}, r"background=\(0, 0, 256\); needed"),
        ({"background": 0}, "background=0; needed: the name of a color"),
        ({"labels": "words"}, "labels='words'; needed: 'numbers' or 'names'"),
        ({"errors": "ignore"}, "errors='ignore'; needed: 'raise' or 'warn'"),
    ],
)
def test_options_that_mean_nothing_are_refused(pets, options, message):
    with pytest.raises(ValueError, match=message):
        load_image_folder(pets[0], size=8, **options)


def test_photos_in_a_format_of_telephones_are_not_passed_over_in_silence(pets):
    (pets[0] / "dog" / "IMG_1.HEIC").write_bytes(b"")
    with pytest.warns(
        UserWarning, match=r"dog: 1 files such as 'IMG_1\.HEIC' are skipped"
    ) as warned:
        assert len(load_image_folder(pets[0]).data) == 3
    assert warned[0].filename == __file__


def test_progress_is_shown_from_a_thousand_images_on(pets, monkeypatch, capsys):
    load_image_folder(pets[0])
    monkeypatch.setattr(reading, "MIN_FOR_PROGRESS", 3)
    load_image_folder(pets[0], verbose=False)
    assert capsys.readouterr() == ("", "")
    load_image_folder(pets[0])
    assert capsys.readouterr() == ("", "Loading images: 3 of 3\n")
    monkeypatch.setattr(reading, "UPDATE_INTERVAL", 0.0)
    load_image_folder(pets[0])
    assert capsys.readouterr().err.splitlines() == [f"Loading images: {i} of 3" for i in range(4)]
