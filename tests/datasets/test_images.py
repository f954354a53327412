"""Image files: formats, sizes, and what is not believed."""

import re
import struct
import sys
import tracemalloc
import zlib

import numpy as np
import pytest

from sknpcnn.datasets import images, load_image_folder, reading
from tests.datasets.children import measured
from tests.datasets.files import outcome, said, spoilt, write

Image = pytest.importorskip("PIL.Image")

pytestmark = pytest.mark.thread_unsafe(reason="limits and decoders are changed, which all use")


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


def test_what_is_transparent_shows_the_background(tmp_path):
    pixels = np.random.default_rng(0).integers(256, size=(4, 6, 4))
    write(tmp_path / "k" / "1.png", pixels)
    palette = Image.new("P", (6, 4), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    palette.save(tmp_path / "k" / "2.png", transparency=b"\x00\x80")
    opacity = pixels[:, :, 3:] / 255
    for background, color in {"white": [255] * 3, (0, 50, 100): [0, 50, 100]}.items():
        found = load_image_folder(tmp_path, background=background).data
        expected = opacity * pixels[:, :, :3] + (1 - opacity) * color
        np.testing.assert_allclose(found[0], expected, atol=1)
        mixed = np.array([10, 20, 30]) * 128 / 255 + np.array(color) * 127 / 255
        np.testing.assert_allclose(found[1], np.broadcast_to(mixed, (4, 6, 3)), atol=1)
        gray = load_image_folder(tmp_path, background=background, color=False).data
        np.testing.assert_allclose(gray[0], expected @ [0.299, 0.587, 0.114], atol=2)


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
    ],
)
def test_file_that_is_no_image_is_named(pets, content, problem):
    """And PostScript, which Pillow would give to another program, is none."""
    path = pets[0] / "dog" / "b.ppm"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=said(path, f"cannot be read as an image.*{problem}")):
        load_image_folder(pets[0], size=8)


@pytest.mark.parametrize("kind", ["png", "tif"])
@pytest.mark.parametrize("steps", [False, True])
def test_image_with_16_bits_is_not_cut_off(tmp_path, monkeypatch, kind, steps):
    for value in (0, 300, 65535):
        pixels = np.full((40, 40), value, np.uint16)
        save(tmp_path / "k" / f"{value}.{kind}", Image.fromarray(pixels))
    if steps:
        monkeypatch.setattr(images, "MAX_DIRECT_PIXELS", 1000)
    found = load_image_folder(tmp_path, size=2, color=False).data
    np.testing.assert_array_equal(found, np.repeat([0, 1, 255], 4).reshape(3, 2, 2))


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_image_with_more_than_16_bits_is_not_cut_off(tmp_path, dtype):
    path = tmp_path / "k" / "1.tif"
    save(path, Image.fromarray(np.array([[0, 300, 65535]], dtype)))
    with pytest.raises(ValueError, match=said(path, "its pixels have more than 16 bits")):
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


def save(path, image, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("name", "size", "limit"),
    [
        ("1.png", (13_300, 13_300), 89_478_485),  # less than twice, of which Pillow only warns
        ("1.ppm", (99, 101), 9998),
        ("1.gif", (99, 101), 9998),
        ("1.webp", (101, 200), 9999),
    ],
)
def test_image_with_too_many_pixels_is_refused_before_it_is_decoded(
    tmp_path, monkeypatch, name, size, limit
):
    save(tmp_path / "k" / name, Image.new("1", size))
    Image.init()  # which loads images
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    monkeypatch.setattr(Image.Image, "load", None)
    problem = f"has too many pixels .*; needed: at most {limit}. Make it smaller, or set PIL"
    with pytest.raises(ValueError, match=said(tmp_path / "k" / name, problem)):
        load_image_folder(tmp_path, size=8)


def test_limit_on_pixels_can_be_lifted(tmp_path, monkeypatch):
    write(tmp_path / "k" / "1.png", np.zeros((100, 100, 3)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert load_image_folder(tmp_path, size=8).data.shape == (1, 8, 8, 3)


def test_warning_about_pixels_that_is_an_error_names_the_file(tmp_path, monkeypatch):
    path = tmp_path / "k" / "1.png"
    write(path, np.zeros((100, 100, 3)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9999)
    with pytest.raises(ValueError, match=said(path, "has too many pixels")):
        load_image_folder(tmp_path, size=8)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "mode", "size", "most", "outcome"),
    [
        ("bomb.png", "1", (13_300, 13_300), 30, "ValueError"),
        ("palette.png", "P", (9400, 9400), 150, "loaded"),  # in color it would take 350 MB
        ("photo.png", "RGB", (8200, 6100), 260, "loaded"),  # 50 million, of 4 bytes each
        ("photo.jpg", "RGB", (8200, 6100), 40, "loaded"),  # decoded at an eighth of its size
    ],
)
def test_large_image_takes_no_more_memory_than_it_needs(tmp_path, name, mode, size, most, outcome):
    save(tmp_path / "k" / name, Image.new(mode, size))
    said, taken = measured("load_image_folder", tmp_path, size=8)
    assert said.startswith(outcome)
    assert taken < most * 1e6


def test_no_room_is_made_for_what_a_chunk_only_says_it_holds(tmp_path):
    path = tmp_path / "k" / "1.png"
    save(path, Image.new("L", (40, 13)))
    content = path.read_bytes()
    place = content.index(b"IDAT") - 4  # the length of the pixels' chunk
    path.write_bytes(content[:place] + struct.pack(">I", 500_000_000) + content[place + 4 :])
    tracemalloc.start()
    try:
        load_image_folder(tmp_path)  # Pillow looks at the content
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2_000_000


@pytest.mark.slow
def test_sizes_are_compared_before_there_is_allocate_all(tmp_path):
    """As many as there are files, of the size of the first."""
    save(tmp_path / "k" / "1.png", Image.new("L", (9000, 9000)))
    for i in range(2, 30):
        save(tmp_path / "k" / f"{i}.png", Image.new("L", (9, 9)))
    said, taken = measured("load_image_folder", tmp_path)
    assert "1.png is one of 9000 x 9000; needed: images of one size" in said
    assert taken < 3e7


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_large_image_is_resized_in_steps_to_almost_the_same(
    tmp_path, monkeypatch, kind, orientation
):
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(256, size=(13, 17, 3)).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(tmp_path / "k" / f"1.{kind}", coarse.resize((641, 403), 3), exif=exif)
    for color in (True, False):
        whole = load_image_folder(tmp_path, size=(20, 16), color=color).data
        with monkeypatch.context() as patched:
            patched.setattr(images, "MAX_DIRECT_PIXELS", 1000)
            patched.setattr(images, "_STRIP", 10_000)
            steps = load_image_folder(tmp_path, size=(20, 16), color=color).data
            full = load_image_folder(tmp_path, size=(300, 250), color=color).data
        assert steps.shape == whole.shape
        assert whole.std() > 30
        difference = np.abs(steps.astype(int) - whole)
        assert difference.mean() < 0.8
        assert difference.max() < 5
        whole = load_image_folder(tmp_path, size=(300, 250), color=color).data
        np.testing.assert_array_equal(full, whole)  # so near that it is resized at once


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_large_image_of_any_mode_is_resized_in_steps(tmp_path, monkeypatch, mode):
    pixels = np.full((300, 400, 3), 255, np.uint8)
    pixels[150:] = 0
    kind = "tif" if mode == "CMYK" else "png"
    save(tmp_path / "k" / f"1.{kind}", Image.fromarray(pixels).convert(mode))
    whole = load_image_folder(tmp_path, size=8).data
    assert (whole[0, 0].mean(), whole[0, -1].mean()) == (255, 0)
    monkeypatch.setattr(images, "MAX_DIRECT_PIXELS", 1000)
    steps = load_image_folder(tmp_path, size=8).data
    np.testing.assert_allclose(steps, whole, atol=5)


@pytest.mark.parametrize("name", ["1.gif", "1.tif", "1.webp", "1.png"])
def test_first_of_several_images_in_a_file_is_loaded(tmp_path, name):
    frames = [Image.new("RGB", (6, 4), (value, 0, 0)) for value in (250, 10, 20)]
    save(tmp_path / "k" / name, frames[0], save_all=True, append_images=frames[1:])
    found = load_image_folder(tmp_path).data
    assert found.shape == (1, 4, 6, 3)
    assert (found[..., 0] > 240).all()


def jpeg(tmp_path, **options):
    rng = np.random.default_rng(0)
    write(tmp_path / "a.jpg", rng.integers(256, size=(64, 64, 3)), **options)
    return (tmp_path / "a.jpg").read_bytes()


def test_scans_of_a_jpeg_are_counted_where_the_decoder_finds_them(tmp_path):
    plain, progressive = jpeg(tmp_path), jpeg(tmp_path, progressive=True)
    scans = b"\xff\xda\0\x08" * 5
    assert images.count_scans(plain) == 1
    assert images.count_scans(progressive) == 10
    comment = b"\xff\xfe" + struct.pack(">H", len(scans) + 2) + scans
    assert images.count_scans(plain[:2] + comment + plain[2:] + scans) == 1
    assert images.count_scans(plain[:2] + b"\xff\x01\xff\xff" + plain[2:]) == 1
    assert images.count_scans(progressive[:-2] * 2) == 20
    assert images.count_scans(b"") == 0


def test_jpeg_of_very_many_scans_is_refused(tmp_path, monkeypatch):
    """Each takes a few bytes, and as long as the whole image takes to be decoded."""
    content = jpeg(tmp_path, progressive=True)
    path = tmp_path / "k" / "1.jpg"
    path.parent.mkdir()
    last = content[content.rindex(b"\xff\xda") : -2]
    path.write_bytes(content[:-2] + last * 40 + content[-2:])
    monkeypatch.setattr(images, "MAX_SCAN_PIXELS", 64 * 64 * 49)
    with pytest.raises(ValueError, match=said(path, "consists of 50 scans of 4096 pixels")):
        load_image_folder(tmp_path, size=8)
    monkeypatch.setattr(images, "MAX_SCAN_PIXELS", 64 * 64 * 50)
    assert load_image_folder(tmp_path, size=8).data.shape == (1, 8, 8, 3)


def chunk(name, content):
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", [b"zTXt", b"iTXt", b"iCCP"])
def test_text_that_unpacks_to_very_much_is_not_unpacked(tmp_path, name):
    write(tmp_path / "k" / "1.png", np.zeros((8, 8, 3)))
    path = tmp_path / "k" / "1.png"
    content, packed = path.read_bytes(), zlib.compress(bytes(300_000_000))
    head = b"a\0\x01\0\0\0" if name == b"iTXt" else b"a\0\0"
    path.write_bytes(content[:33] + chunk(name, head + packed) + content[33:])
    outcome, taken = measured("load_image_folder", tmp_path, size=8)
    assert outcome.startswith(("loaded", f"ValueError: {path}: cannot be read"))
    assert taken < 3e7


@pytest.mark.parametrize("size", [None, 8])
@pytest.mark.parametrize("call", ["open", "load"])
def test_memory_that_runs_out_is_no_fault_of_the_image(pets, monkeypatch, call, size):
    def fail(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr(Image if call == "open" else Image.Image, call, fail)
    with pytest.raises(MemoryError) as caught:
        load_image_folder(pets[0], size=size)
    first = pets[0] / "cat" / "a.bmp"
    assert f"{first}: memory ran out while it was read." in caught.value.__notes__


def test_memory_that_runs_out_in_a_decoder_is_no_fault_of_the_image(pets, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("out of memory error when reading image file")

    monkeypatch.setattr(Image.Image, "load", fail)
    with pytest.raises(MemoryError, match=r"a\.bmp: memory ran out while it was read"):
        load_image_folder(pets[0], size=8)


def test_memory_that_runs_out_for_all_images_is_explained():
    with pytest.raises(MemoryError) as caught:
        reading._allocate(2**40, np.zeros((2**10, 2**10), np.uint8))
    assert "There are 1099511627776 images; size=(height, width)" in caught.value.__notes__[0]
