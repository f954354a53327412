"""``load_image_folder`` on a file that a fuzzer makes up: an image, or a ValueError.

    python -m tests.fuzz.fuzz_images -runs=1000000

needs atheris and Pillow. ``check`` does without atheris.
"""

import io
import resource
import struct
import zlib
from contextlib import contextmanager

from tests.fuzz.datasets import changed, folder, instrumented, result_of, run

with instrumented():
    from PIL import Image

    from sknpcnn.datasets import images, load_image_folder

import numpy as np

# Small, so that many inputs are tried, among them images that are too large, and large ones.
MAX_PIXELS, MAX_DIRECT_PIXELS = 2**16, 2**10
MAX_TAKEN = 300_000  # kB, by all that was ever tried
SIZES = [None, 8, (3, 5), 40]


@contextmanager
def small_limits():
    before = Image.MAX_IMAGE_PIXELS, images.MAX_DIRECT_PIXELS
    Image.MAX_IMAGE_PIXELS, images.MAX_DIRECT_PIXELS = MAX_PIXELS, MAX_DIRECT_PIXELS
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS, images.MAX_DIRECT_PIXELS = before


def check(data):
    """Load a file made of these bytes; raise an AssertionError if it is not as promised."""
    first = (data or b"\0")[0]
    size, color, fit = SIZES[first % 4], first % 8 < 4, images.FITS[first // 8 % 3]
    path = folder() / "images" / "k" / "1.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data[1:])
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with small_limits():
        found = result_of(
            lambda: load_image_folder(path.parents[1], size=size, color=color, fit=fit).data,
            8_000_000 + 10 * len(data),
        )
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start
    assert taken < MAX_TAKEN, f"it took {taken} kB"
    if found is None:
        return False
    shape = found.shape[1:3] if size is None else (size, size) if type(size) is int else size
    assert found.shape == ((1, *shape, 3) if color else (1, *shape))
    assert found.dtype == np.uint8
    assert found.size <= 3 * MAX_PIXELS
    return True


def mutate(data, rng):
    """Change an input: a chunk of a PNG, a segment of a JPEG, or some bytes."""
    first, content = data[:1], data[1:]
    if rng.randrange(20) == 0:
        return bytes([rng.randrange(24)]) + content
    split = {b"\x89P": _chunks, b"\xff\xd8": _segments}.get(content[:2])
    if split is None or rng.randrange(4) == 0:
        return (first or b"\0") + changed(content, rng)
    head, parts, join = split(content)
    if parts:
        place = rng.randrange(len(parts))
        match rng.randrange(5):
            case 0:
                del parts[place]
            case 1:
                parts[place : place + 1] *= rng.choice([2, 2, 3, 50])
            case 2:
                other = rng.randrange(len(parts))
                parts[place], parts[other] = parts[other], parts[place]
            case _:
                name, part = parts[place]
                parts[place] = name, changed(part, rng)
    return first + head + b"".join(join(*part) for part in parts)


def _chunks(content):
    parts, place = [], 8
    while place + 8 <= len(content):
        n = int.from_bytes(content[place : place + 4], "big")
        parts.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + n]))
        place += 12 + n
    return content[:8], parts, _chunk


def _chunk(name, part):
    return struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part))


def _segments(content):
    parts, place = [], 2
    while place + 4 <= len(content) and content[place] == 0xFF:
        n = int.from_bytes(content[place + 2 : place + 4], "big")
        if content[place + 1] == 0xDA:  # with the pixels of the scan, up to the next marker
            n = (content.find(b"\xff\xc4", place + 2 + n) % (len(content) + 1)) - place - 2
        parts.append((content[place + 1 : place + 2], content[place + 4 : place + 2 + n]))
        place += 2 + max(n, 2)
    return content[:2], parts, _segment


def _segment(name, part):
    if name == b"\xda":
        length = 2 + 4 + 2 * (part[0] % 5) if part else 2
        return b"\xff\xda" + struct.pack(">H", length) + part
    return b"\xff" + name + struct.pack(">H", (len(part) + 2) % 65536) + part


def _seeds():
    rng = np.random.default_rng(0)
    color = Image.fromarray(rng.integers(256, size=(24, 40, 3)).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description" * 20
    files = [
        ("PNG", color, {"exif": exif}),
        ("PNG", color.convert("P"), {"transparency": b"\0\x80"}),
        ("PNG", color.convert("LA"), {}),
        ("PNG", color.convert("1"), {}),
        ("JPEG", color, {"exif": exif, "quality": 50}),
        ("JPEG", color.resize((200, 90)), {"progressive": True, "quality": 20}),
        ("JPEG", color.convert("CMYK"), {"comment": b"a comment"}),
        ("GIF", color.convert("P"), {"save_all": True, "append_images": [color.convert("L")]}),
        ("BMP", color, {}),
        ("BMP", color.convert("P"), {}),
        ("TIFF", color, {}),
        ("TIFF", color.convert("P"), {"compression": "packbits"}),
        ("TIFF", color, {"compression": "tiff_lzw", "exif": exif}),
        ("TIFF", color.convert("1"), {"compression": "group4"}),
        ("TIFF", color, {"compression": "jpeg"}),
        ("PPM", color, {}),
        ("PPM", color.convert("1"), {}),
        ("WEBP", color, {"exif": exif}),
        ("WEBP", color.convert("RGBA"), {"lossless": True}),
    ]
    seeds = []
    for i, (kind, image, options) in enumerate(files):
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        seeds.append(bytes([i % 24]) + stream.getvalue())
    text = _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100_000)))
    png = seeds[0]
    return [*seeds, png[:34] + text + png[34:], b"\1P3 2 1 255 1 2 3 4 5 6\n"]


SEEDS = _seeds()

if __name__ == "__main__":
    run(check, SEEDS, mutate)
