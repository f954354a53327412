"""The diagram of an estimator in a real browser, in which no script may run."""

import shutil

import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknpcnn import NumpyCNNClassifier
from sknpcnn.layers import Conv2D, GlobalAvgPool2D, ReLU, Residual


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def html(digits):
    X, _, y, _ = digits
    layers = [Conv2D(8), ReLU(), ("block", Residual([Conv2D(8), ReLU()])), GlobalAvgPool2D()]
    clf = NumpyCNNClassifier(layers=layers, max_iter=1, random_state=0)
    return make_pipeline(StandardScaler(), clf).fit(X[:100], y[:100])._repr_html_()


def contrast(first, second):
    """The contrast of two colors as in WCAG 2.2, from 1 to 21."""

    def luminance(color):
        values = [
            int(part) / 255 for part in color.removeprefix("rgb(").removesuffix(")").split(",")
        ]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
        return sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    darker, lighter = sorted([luminance(first), luminance(second)])
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_network_can_be_read_and_opened_without_scripts(browser, html, scheme, width):
    page = browser.new_page(
        color_scheme=scheme, viewport={"width": width, "height": 900}, java_script_enabled=False
    )
    page.set_content(f'<meta name="color-scheme" content="light dark">{html}')
    network = page.locator(".sknpcnn")
    assert not network.is_visible(), "the box of the estimator in a pipeline is closed"
    page.get_by_text("NumpyCNNClassifier", exact=True).click()
    assert network.is_visible()
    box = network.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    inner = network.locator(".sknpcnn-box .sknpcnn-row", has_text="conv2d_1")
    assert inner.is_visible()
    network.locator("summary", has_text="block").click()
    assert not inner.is_visible()
    colors = [
        network.locator(kind).first.evaluate(f"element => getComputedStyle(element).{what}")
        for kind, what in [
            (".sknpcnn-kind", "color"),
            (".sknpcnn-name", "color"),
        ]
    ]
    back = page.locator(".sk-toggleable__content", has=network).evaluate(
        "element => getComputedStyle(element).backgroundColor"
    )
    assert all(contrast(color, back) > 4.5 for color in colors)
    bars = network.locator(".sknpcnn-bar")
    widths = [bar.bounding_box()["width"] for bar in bars.all() if bar.is_visible()]
    assert max(widths) > 10 * min(widths)
    page.close()
