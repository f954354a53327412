"""Folders of images: sorted into classes, brought to one size, and each one named that is not."""

import re
import sys

import numpy as np
import pytest

from sknpcnn.datasets import load_image_folder
from tests.test_datasets_idx import outcome, said, spoilt

Image = pytest.importorskip("PIL.Image")


def write(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path, **options)


@pytest.fixture
def pets(tmp_path):
    """Three images of 4 x 6 pixels in two classes, written in another order than that of names."""
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(3, 4, 6, 3)).astype(np.uint8)
    write(tmp_path / "dog" / "a.png", images[2])
    write(tmp_path / "cat" / "b.png", images[1])
    write(tmp_path / "cat" / "a.bmp", images[0])
    return tmp_path, images


def test_sub_folders_are_classes_in_the_order_of_their_names(pets):
    folder, images = pets
    found = load_image_folder(folder, size=None)
    np.testing.assert_array_equal(found.data, images)
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
    folder, images = pets
    found = load_image_folder(folder, size=None, color=False)
    luma = images @ [0.299, 0.587, 0.114]  # ITU-R 601
    assert found.data.shape == (3, 4, 6)
    np.testing.assert_allclose(found.data, luma, atol=1)


def test_gray_images_have_three_equal_channels_in_color(tmp_path):
    gray = np.arange(24).reshape(4, 6)
    write(tmp_path / "k" / "1.pgm", gray)
    found = load_image_folder(tmp_path, size=None)
    np.testing.assert_array_equal(found.data[0], np.repeat(gray[:, :, None], 3, axis=2))


@pytest.mark.parametrize("name", ["1.png", "1.PNG", "1.jpg", "1.JPEG", "1.gif", "1.webp", "1.tif"])
def test_usual_formats_are_read(tmp_path, name):
    write(tmp_path / "k" / name, np.full((4, 6, 3), 255))
    found = load_image_folder(tmp_path, size=None)
    np.testing.assert_allclose(found.data[0], np.full((4, 6, 3), 255), atol=3)


def test_image_is_turned_as_its_camera_was_held(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the orientation: to be turned by 90 degrees, clockwise
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[:, 0] = 255  # what is on the left will be at the top
    write(tmp_path / "k" / "1.png", pixels, exif=exif)
    found = load_image_folder(tmp_path, size=None)
    np.testing.assert_array_equal(found.data[0], np.rot90(pixels, -1))
    assert (found.data[0, 0] == 255).all()


def test_transparency_is_dropped(tmp_path):
    pixels = np.random.default_rng(0).integers(256, size=(4, 6, 4))
    write(tmp_path / "k" / "1.png", pixels)
    palette = Image.new("P", (6, 4), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    palette.save(tmp_path / "k" / "2.png", transparency=b"\x00\x80")
    found = load_image_folder(tmp_path, size=None)
    np.testing.assert_array_equal(found.data[0], pixels[:, :, :3])
    np.testing.assert_array_equal(found.data[1], np.broadcast_to([10, 20, 30], (4, 6, 3)))


def test_other_files_and_hidden_ones_are_left_out(pets):
    folder, images = pets
    (folder / "readme.txt").write_text("three images")
    (folder / "cat" / "notes.txt").write_text("two images")
    (folder / "cat" / "._a.png").write_bytes(b"what macOS leaves in archives")
    (folder / "cat" / "folder.png").mkdir()
    (folder / ".cache").mkdir()
    write(folder / "stray.png", images[0])
    found = load_image_folder(folder, size=None)
    np.testing.assert_array_equal(found.data, images)
    assert found.target_names == ["cat", "dog"]


def test_class_without_images_is_named(pets):
    folder, images = pets
    (folder / "bird").mkdir()
    write(folder / "bird" / "deeper" / "1.png", images[0])
    message = f"{re.escape(str(folder / 'bird'))} holds no images; needed: at least one"
    with pytest.raises(ValueError, match=message):
        load_image_folder(folder, size=8)


def test_folder_without_classes_is_named(tmp_path):
    with pytest.raises(ValueError, match=f"{re.escape(str(tmp_path))} holds no sub-folders"):
        load_image_folder(tmp_path, size=8)
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder"):
        load_image_folder(tmp_path / "nowhere", size=8)


@pytest.mark.parametrize("size", [0, -1, 2.0, "8", True, (8,), (8, 8, 3), (0, 8), (8, None), []])
def test_size_that_is_none_is_refused(pets, size):
    with pytest.raises(ValueError, match=re.escape(f"size={size!r}; needed: (height, width)")):
        load_image_folder(pets[0], size=size)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "cannot identify image file"),
        (b"<html>Not found</html>", "cannot identify image file"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "cannot identify"),
        (b"P6 4 6 255 " + bytes(20), ""),
        (b"P6 99999 99999 255 " + bytes(20), "decompression bomb"),
    ],
)
def test_file_that_is_no_image_is_named(pets, content, problem):
    """And PostScript, which Pillow would give to another program, is none."""
    path = pets[0] / "dog" / "b.ppm"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=said(path, f"cannot be read as an image.*{problem}")):
        load_image_folder(pets[0], size=8)


def test_image_with_more_than_8_bits_is_not_cut_off(tmp_path):
    (tmp_path / "k").mkdir()
    path = tmp_path / "k" / "1.png"
    Image.fromarray(np.array([[0, 300, 65535]], np.uint16)).save(path)
    with pytest.raises(ValueError, match=said(path, "its pixels have more than 8 bits")):
        load_image_folder(tmp_path, size=8)


@pytest.mark.parametrize("name", ["1.png", "1.jpg", "1.gif", "1.bmp"])
@pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow, about what it can do without
def test_spoilt_image_is_refused_by_name_or_is_an_image(tmp_path, name):
    rng = np.random.default_rng(0)
    path = tmp_path / "k" / name
    write(path, rng.integers(256, size=(8, 8, 3)))
    sound = path.read_bytes()
    refused = 0
    for _ in range(60):
        path.write_bytes(spoilt(sound, rng))
        found, refusal = outcome(lambda: load_image_folder(tmp_path, size=8).data)
        if refusal:
            assert str(path) in refusal
            refused += 1
        else:
            assert (found.shape, found.dtype) == ((1, 8, 8, 3), np.uint8)
    assert refused > 10


def test_error_without_pillow_says_how_to_install_it(pets, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r'pip install "sknpcnn\[images\]"'):
        load_image_folder(pets[0], size=8)
