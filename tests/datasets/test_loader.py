"""Photos from files, folders, Pillow and arrays become one array, and new ones the same way."""

import pickle
import re
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import Bunch, estimator_checks
from sklearn.utils.validation import check_is_fitted

from sknpcnn import NumpyCNNClassifier
from sknpcnn.datasets import ImageLoader, images, load_image_folder, load_images, reading

Image = pytest.importorskip("PIL.Image")

pytestmark = pytest.mark.thread_unsafe(reason="limits are changed, which all use")

RED, BLUE = [255, 0, 0], [0, 0, 255]


def picture(h=12, w=18, seed=0):
    return np.random.default_rng(seed).integers(256, size=(h, w, 3)).astype(np.uint8)


@pytest.fixture
def photos(tmp_path):
    """Twenty photos of two classes: red ones and blue ones, some of them upright."""
    rng = np.random.default_rng(0)
    for i in range(20):
        name, color = ("sky", BLUE) if i % 2 else ("rose", RED)
        noise = rng.integers(256, size=(8 + i, 20, 3))
        pixels = (0.6 * np.array(color) + 0.4 * noise).astype(np.uint8)
        (tmp_path / name).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / name / f"{i:02d}.png")
    return tmp_path


def test_all_sources_give_the_same_images(tmp_path):
    pixels = np.stack([picture(seed=i) for i in range(3)])
    names = [tmp_path / f"{i}.png" for i in range(3)]
    for name, image in zip(names, pixels, strict=True):
        Image.fromarray(image).save(name)
    texts = list(map(str, names))
    sources = [
        tmp_path,
        str(tmp_path),
        names,
        texts,
        tuple(texts),
        np.array(texts),
        np.array(names, object),
        np.array(texts)[:, None],
        pd.Series(texts, index=[5, 6, 7]),
        pd.DataFrame({"name": texts}),
        pl.Series(texts),
        pl.DataFrame({"name": texts}),
        (name for name in names),
        [Image.open(name) for name in names],
        [texts[0], Image.fromarray(pixels[1]), pixels[2]],
        list(pixels),
        pixels,
    ]
    for source in sources:
        found = load_images(source)
        assert (found.shape, found.dtype) == ((3, 12, 18, 3), np.uint8)
        np.testing.assert_array_equal(found, pixels)
    for single in (names[0], texts[0], Image.fromarray(pixels[0]), [pixels[0]]):
        np.testing.assert_array_equal(load_images(single), pixels[:1])


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"]
)
@pytest.mark.parametrize("color", [True, False])
def test_any_mode_becomes_three_channels_or_one(mode, color):
    image = Image.new("L", (6, 4), 255)
    if mode == "I;16":
        image = Image.fromarray(np.full((4, 6), 65535, np.uint16))
    elif mode == "PA":
        image = image.convert("P").convert("PA")
    else:
        image = image.convert("RGB").convert(mode)
    assert image.mode == mode
    found = load_images(image, color=color)
    assert found.shape == ((1, 4, 6, 3) if color else (1, 4, 6))
    assert found.min() >= 254


@pytest.mark.parametrize("channels", [1, 3, 4, None])
def test_arrays_may_have_any_channels(channels):
    pixels = np.full((2, 4, 6, channels or 1), 200, np.uint8)
    pixels = pixels if channels else pixels[..., 0]
    value = round(200 * 200 / 255 + 55) if channels == 4 else 200
    found = load_images(pixels)
    np.testing.assert_allclose(found, np.full((2, 4, 6, 3), value), atol=1)
    np.testing.assert_allclose(load_images(pixels, color=False), found[..., 0], atol=1)


@pytest.mark.parametrize("steps", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_crop_takes_the_middle_and_pad_shows_all(tmp_path, monkeypatch, orientation, steps):
    """A wide photo: a red square in the middle of a blue one, as it is to be seen."""
    seen = np.full((300, 600, 3), BLUE, np.uint8)
    seen[:, 150:450] = RED
    undo = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    stored = Image.fromarray(seen)
    if undo > 1:
        stored = stored.transpose(Image.Transpose[images._TRANSPOSES[undo]])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    if steps:
        monkeypatch.setattr(images, "MAX_DIRECT_PIXELS", 1000)
        monkeypatch.setattr(images, "_STRIP", 10_000)
    crop = load_images(tmp_path, size=10, fit="crop")[0]
    assert np.abs(crop.astype(int) - RED)[:, 1:-1].max() <= 2
    pad = load_images(tmp_path, size=20, fit="pad", background="lime")[0]
    assert (pad[[0, 4, 15, 19]] == [0, 255, 0]).all()
    assert (pad[5:15, :4] == BLUE).all()
    assert (pad[5:15, 6:14] == RED).all()
    assert (pad[5:15, 16:] == BLUE).all()
    high = load_images(tmp_path, size=(40, 10), fit="pad", background="black", color=False)[0]
    assert (high.any(axis=1).sum(), high[:, 5].argmax()) == (5, 17)


def test_crop_is_what_pillow_makes_of_the_middle():
    for h, w in ((40, 90), (90, 40)):
        pixels = picture(h, w)
        side = min(h, w)
        y, x = (h - side) // 2, (w - side) // 2
        middle = Image.fromarray(pixels[y : y + side, x : x + side])
        expected = np.asarray(middle.resize((16, 16), Image.Resampling.BILINEAR))
        found = load_images([pixels], size=16, fit="crop")[0]
        inside = slice(1, -1)  # at the edge it also sees what lies beside the middle
        difference = found[inside, inside].astype(int) - expected[inside, inside]
        assert np.abs(difference).max() <= 1  # which the order of rounding makes


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (3, 7)])
def test_any_proportions_are_brought_to_any_size(monkeypatch, fit, shape):
    for max_whole in (1, 10**6):
        monkeypatch.setattr(images, "MAX_DIRECT_PIXELS", max_whole)
        for size in ((1, 1), (1, 200), (200, 1), (7, 3)):
            found = load_images([np.full(shape, 255, np.uint8)], size=size, fit=fit)
            assert (found == np.full((1, *size, 3), 255)).all()


def test_image_of_the_caller_stays_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_DIRECT_PIXELS", 1000)
    Image.fromarray(picture(400, 600)).save(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        found = load_images([image, image], size=20)
        assert (image.size, image.mode) == ((600, 400), "RGB")
        np.testing.assert_array_equal(found[0], found[1])
        np.testing.assert_allclose(found[:1], load_images(tmp_path, size=20), atol=12)


# what is given: the exception, what its message has to hold
BAD = {
    "number": (3, TypeError, "images is of type int; needed: the path of an image or of a folder"),
    "none": (None, TypeError, "images is of type NoneType"),
    "bunch": (Bunch(data=np.zeros(3)), TypeError, "images is of type Bunch; needed"),
    "bytes": (b"P6", TypeError, "images is of type bytes"),
    "empty list": ([], ValueError, "images is empty; needed: at least one image"),
    "one image": (picture(), ValueError, r"of shape \(12, 18, 3\); needed: .* \[image\] for"),
    "a row": (np.zeros((3, 4)), ValueError, r"of shape \(3, 4\); needed: \(n, h, w\)"),
    "floats": ([np.zeros((4, 4))], ValueError, r"images\[0\] has the dtype float64; needed: uint8"),
    "five dims": ([np.zeros((2, 3, 4, 5))], ValueError, r"images\[0\] has the shape \(2, 3, 4, 5"),
    "two channels": ([np.zeros((4, 4, 2), "u1")], ValueError, r"shape \(4, 4, 2\); needed: "),
    "no pixels": ([np.zeros((0, 4), "u1")], ValueError, r"images\[0\] has the shape \(0, 4\)"),
    "numbers": ([1, 2], TypeError, r"images\[0\] is 1, of type int; needed: a path, an image of"),
    "absent": (["a.png", "b.png"], FileNotFoundError, "(?s)2 of 2 images cannot.*a.png.*b.png"),
    "sizes": ([picture(), picture(9)], ValueError, r"images\[1\]: is an image of 9 x 18 pixels"),
    "deep": (Image.new("F", (4, 4)), ValueError, r"images\[0\]: .* pixels have more than 16 bits"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_image_is_refused(name):
    given, exception, message = BAD[name]
    with pytest.raises(exception, match=message):
        load_images(given)


def test_folder_without_images_says_what_it_holds(photos, tmp_path):
    with pytest.raises(ValueError, match=r"holds no images; .* use load_image_folder"):
        load_images(photos)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty holds no images; needed: .*\.webp\.$"):
        load_images(tmp_path / "empty")


def test_progress_is_shown_on_a_terminal_and_not_by_default_in_a_pipeline(monkeypatch, capsys):
    monkeypatch.setattr(reading, "MIN_FOR_PROGRESS", 2)
    monkeypatch.setattr(reading, "UPDATE_INTERVAL", 0.0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    load_images([picture()] * 2)
    shown = capsys.readouterr().err
    assert shown == "".join(f"\rLoading images: {i} of 2" for i in range(3)) + "\n"
    ImageLoader().transform([picture()] * 2)
    assert capsys.readouterr() == ("", "")


def test_classifier_is_asked_about_files_in_the_way_it_has_learned(photos):
    data = load_image_folder(photos, size=8, fit="crop", labels="names")
    clf = NumpyCNNClassifier(conv_filters=(4,), max_iter=15, random_state=0)
    clf.fit(data.data, data.target)
    model = make_pipeline(data.loader, clf)
    np.testing.assert_array_equal(model.predict(data.filenames), clf.predict(data.data))
    assert model.predict(str(photos / "sky" / "01.png")).tolist() == ["sky"]
    assert model.score(data.filenames, data.target) == 1.0
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict(data.filenames), clf.predict(data.data))


def test_loader_of_a_folder_has_the_size_that_was_found(tmp_path):
    (tmp_path / "k").mkdir()
    Image.fromarray(picture(4, 6)).save(tmp_path / "k" / "1.png")
    loader = load_image_folder(tmp_path, color=False, fit="pad", background=(1, 2, 3)).loader
    expected = {"size": (4, 6), "color": False, "fit_mode": "pad", "background": (1, 2, 3)}
    assert loader.get_params() == expected | {"verbose": False}
    assert loader.transform([picture()]).shape == (1, 4, 6)


def test_pipeline_on_files_is_searched_and_cross_validated(photos):
    names = sorted(map(str, photos.glob("*/*.png")))
    y = [Path(name).parent.name for name in names]
    clf = NumpyCNNClassifier((4,), max_iter=10, learning_rate_init=0.02, random_state=0)
    model = make_pipeline(ImageLoader(8), clf)
    assert cross_val_score(model, names, y, cv=2).mean() > 0.9
    grid = {"imageloader__size": [8, (6, 9)], "imageloader__fit_mode": ["crop"]}
    search = GridSearchCV(model, grid, cv=2).fit(pd.Series(names), y)
    assert search.best_score_ > 0.9


def test_loader_is_an_ordinary_transformer_without_state():
    loader = ImageLoader(8, color=False, fit_mode="crop", background="black", verbose=True)
    assert clone(loader).get_params() == loader.get_params()
    assert repr(ImageLoader(8, fit_mode="crop")) == "ImageLoader(fit_mode='crop', size=8)"
    check_is_fitted(loader)
    assert loader.fit(["a.png"]) is loader
    assert loader.fit_transform([picture()]).shape == (1, 8, 8)
    assert vars(loader) == vars(clone(loader))
    with pytest.raises(ValueError, match=re.escape("size='8'; needed: (height, width)")):
        ImageLoader("8").fit(["a.png"])
    with pytest.raises(ValueError, match="fit_mode='fill'; needed: 'stretch'"):
        ImageLoader(fit_mode="fill").fit_transform([picture()])


@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_estimator_cloneable,
        estimator_checks.check_estimator_tags_renamed,
        estimator_checks.check_valid_tag_types,
        estimator_checks.check_estimator_repr,
        estimator_checks.check_no_attributes_set_in_init,
        estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
        estimator_checks.check_mixin_order,
        estimator_checks.check_parameters_default_constructible,
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_set_params,
    ],
    ids=lambda check: check.__name__,
)
def test_checks_of_scikit_learn_that_need_no_table_pass(check):
    """Its check_estimator asks no others of a transformer that does not take rows of values."""
    check("ImageLoader", ImageLoader())
