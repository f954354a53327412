"""The page of examples/browser reads the digits that are drawn on it, in a real browser."""

import shutil
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from tests.processes import run_python

BUILD = Path(__file__).parents[2] / "examples" / "browser" / "build.py"

pytestmark = pytest.mark.slow

# How people draw: corners of strokes, in tenths of the drawing's width, from its upper left.
STROKES = {
    0: [[(5, 1.5), (3, 3), (2.7, 5), (3, 7), (5, 8.5), (7, 7), (7.3, 5), (7, 3), (5, 1.5)]],
    1: [[(5, 1.5), (5, 8.5)]],
    2: [[(3, 3), (4, 1.7), (6, 1.7), (7, 3), (6.5, 4.5), (3, 8.3), (7.3, 8.3)]],
    3: [[(3, 2), (5.5, 1.5), (7, 3), (4.7, 4.8), (7, 6.5), (5.5, 8.5), (3, 8)]],
    4: [[(3.5, 1.5), (3, 5.5), (7.5, 5.5)], [(6.2, 1.5), (6.2, 8.7)]],
    5: [[(7, 1.7), (3.5, 1.7), (3.3, 4.6), (6, 4.4), (7, 6.3), (5.6, 8.4), (3, 8)]],
    7: [[(2.8, 1.8), (7.3, 1.8), (4.7, 8.6)]],
}


@pytest.fixture(scope="module")
def address(tmp_path_factory, mnist_folder):
    """The page, as the example makes it, served on loopback."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed, which brings the runtime of the page")
    site = tmp_path_factory.mktemp("browser") / "site"
    data = ["--mnist", mnist_folder, "--images", "10000", "--epochs", "3"]
    run_python(BUILD, site, *(data if mnist_folder else []))
    handler = partial(Quiet, directory=site)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", site / "digits.onnx"
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args): ...


@pytest.fixture
def page(address):
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        complaints = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address[0])
        page.wait_for_function("!document.getElementById('status').textContent.includes('…')")
        assert page.inner_text("#status") == "Draw with the mouse, a pen or a finger."
        yield page
        assert complaints == []
        browser.close()


def draw(page, strokes, size=1.0, move=(0, 0)):
    box = page.locator("#drawing").bounding_box()
    for stroke in strokes:
        corners = (np.array(stroke) - 5) * size / 10 + 0.5 + np.array(move)
        places = corners * [box["width"], box["height"]] + [box["x"], box["y"]]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=10)
        page.mouse.up()


def answer(page):
    page.wait_for_function("document.getElementById('reading').ariaBusy == 'false'")
    return page.inner_text("#answer")


def test_digits_are_read_as_they_are_drawn(page):
    read = {}
    for digit, strokes in STROKES.items():
        draw(page, strokes)
        read[str(digit)] = answer(page)
        page.click("#clear")
        assert answer(page) == ""
    assert sum(digit == reading for digit, reading in read.items()) >= len(read) - 1, read


def test_small_digits_in_a_corner_are_read(page):
    draw(page, STROKES[2], size=0.4, move=(-0.25, 0.25))
    assert answer(page) == "2"


def test_the_page_shows_what_the_model_says_of_the_pixels_it_shows(page, address):
    runtime = pytest.importorskip("onnxruntime")
    draw(page, STROKES[3])
    answer(page)
    seen = page.evaluate(
        "Array.from(document.getElementById('seen').getContext('2d')"
        ".getImageData(0, 0, 28, 28).data.filter((_, i) => i % 4 == 0))"
    )
    image = np.array(seen, np.float32).reshape(1, 28, 28)
    assert image.max() > 200
    rows = np.nonzero(image[0].max(axis=1))[0]
    assert 19 <= rows[-1] - rows[0] + 1 <= 22  # as digits of MNIST
    proba = runtime.InferenceSession(address[1]).run(["probabilities"], {"X": image})[0][0]
    shown = [float(text.split()[0]) for text in page.locator("#bars output").all_inner_texts()]
    np.testing.assert_allclose(shown, 100 * proba, atol=0.5)  # the page has fractions of a pixel


def test_nothing_is_read_of_an_empty_page(page):
    draw(page, STROKES[1])
    assert answer(page) != ""
    page.click("#clear")
    assert answer(page) == ""
    assert page.locator("#bars output").all_inner_texts() == [""] * 10
