"""Augmentation: what it does to an image, when, and to which images."""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV

from sknpcnn import NumpyCNNClassifier
from sknpcnn.augmentation import (
    Affine,
    Augmentation,
    Brightness,
    Contrast,
    Cutout,
    HorizontalFlip,
    RandomCrop,
    Shift,
    augment_images,
)
from sknpcnn.augmentation.base import augmented, steps_of
from sknpcnn.layers import Conv2D
from sknpcnn.spec import named
from tests import models
from tests.models import assert_same_weights, weights_of

ALL = [
    Shift(2),
    Shift((0, 3), fill=-1.5),
    RandomCrop(3),
    RandomCrop((1, 2), border="edge"),
    RandomCrop(2, border=0.25),
    HorizontalFlip(),
    Affine(20, 0.2, 0.1, 1.5),
    Cutout(3),
    Brightness(),
    Contrast(),
]
each = pytest.mark.parametrize("step", ALL, ids=repr)


def images_of(n=40, h=9, w=7, c=3, dtype=np.float64):
    return np.random.default_rng(0).normal(size=(n, h, w, c)).astype(dtype)


def numbers_of(step, n=40):
    return np.random.default_rng(1).random((n, step.draws))


small = partial(models.small, hidden_layer_sizes=(), max_iter=2, batch_size=64)


# What each of them does


@each
def test_shape_and_dtype_stay_and_what_is_given_is_not_modified(step):
    for dtype in (np.float32, np.float64):
        images = images_of(dtype=dtype)
        images.flags.writeable = False
        changed = step.apply(images, numbers_of(step))
        assert changed.shape == images.shape
        assert changed.dtype == dtype
        assert (changed != images).any()


@each
def test_an_image_does_not_depend_on_those_beside_it(step):
    images, numbers = images_of(), numbers_of(step)
    together = step.apply(images, numbers)
    for i in range(len(images)):
        alone = step.apply(images[i : i + 1], numbers[i : i + 1])
        np.testing.assert_array_equal(alone[0], together[i])


@pytest.mark.parametrize(
    ("step", "pad"),
    [
        (Shift(2), {"constant_values": 0}),
        (Shift((0, 3), fill=-1.5), {"constant_values": -1.5}),
        (RandomCrop(3), {"mode": "reflect"}),
        (RandomCrop((1, 2), border="edge"), {"mode": "edge"}),
        (RandomCrop(2, border=0.25), {"constant_values": 0.25}),
    ],
    ids=repr,
)
def test_shift_and_crop_show_a_part_of_the_image_with_a_border_and_every_part_equally_often(
    step, pad
):
    n = 4000
    image = images_of(n=1)[0]
    h, w, _ = image.shape
    pixels = step.pixels if isinstance(step, Shift) else step.padding
    rows, columns = pixels if isinstance(pixels, tuple) else (pixels, pixels)
    padded = np.pad(image, ((rows, rows), (columns, columns), (0, 0)), **pad)
    parts = {
        padded[i : i + h, j : j + w].tobytes(): (i, j)
        for i in range(2 * rows + 1)
        for j in range(2 * columns + 1)
    }
    changed = step.apply(np.repeat(image[None], n, axis=0), numbers_of(step, n))
    found = [parts[np.ascontiguousarray(one).tobytes()] for one in changed]
    counts = np.unique(found, axis=0, return_counts=True)[1]
    assert len(counts) == len(parts)
    expected = n / len(parts)
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_flip_mirrors_that_part_of_the_images(rate):
    images = images_of(n=1000)
    changed = HorizontalFlip(rate).apply(images, numbers_of(HorizontalFlip(), 1000))
    mirrored = (changed == images[:, :, ::-1]).all(axis=(1, 2, 3))
    kept = (changed == images).all(axis=(1, 2, 3))
    assert (mirrored ^ kept).all()
    assert mirrored.mean() == pytest.approx(rate, abs=0.05)


@pytest.mark.parametrize("fill", [0.0, 2.5])
def test_affine_is_what_scipy_makes_of_it(fill):
    step = Affine(degrees=30, zoom=0.2, shear=0.3, shift=2.0, fill=fill)
    images, numbers = images_of(), numbers_of(step)
    changed = step.apply(images, numbers)
    centre = (np.array(images.shape[1:3]) - 1) / 2
    for image, found, u in zip(images, changed, 2 * numbers - 1, strict=True):
        angle, scale = np.deg2rad(30 * u[0]), 1 / (1 + 0.2 * u[1])
        turned = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        matrix = np.array([[1, 0], [-0.3 * u[2], 1]]) @ turned
        offset = centre - matrix @ (centre + 2.0 * u[3:])
        for k in range(images.shape[3]):
            expected = ndimage.affine_transform(
                image[..., k], matrix, offset, order=1, mode="grid-constant", cval=fill
            )
            np.testing.assert_allclose(found[..., k], expected, atol=1e-12)


def test_a_quarter_turn_turns_by_90_degrees():
    image = images_of(n=1, h=6, w=6)
    turned = Affine(degrees=90).apply(image, np.array([[1.0, 0.5, 0.5, 0.5, 0.5]]))
    clockwise, other = (np.rot90(image, k, axes=(1, 2)) for k in (-1, 1))
    assert min(np.abs(turned - clockwise).max(), np.abs(turned - other).max()) < 1e-12


def test_cutout_covers_one_square_cut_by_the_border():
    step = Cutout(4, fill=7.0)
    images = images_of(n=300)
    changed = step.apply(images, numbers_of(step, 300))
    sizes = set()
    for image, found in zip(images, changed, strict=True):
        covered = (found == 7.0).all(axis=2)
        rows, columns = covered.any(axis=1), covered.any(axis=0)
        np.testing.assert_array_equal(covered, rows[:, None] & columns)
        for line in (rows, columns):
            assert sum(a != b for a, b in pairwise([False, *line, False])) == 2  # in one piece
        np.testing.assert_array_equal(found[~covered], image[~covered])
        sizes.add((rows.sum(), columns.sum()))
    assert max(sizes) == (4, 4)
    assert min(min(size) for size in sizes) >= 2


def test_brightness_multiplies_and_contrast_keeps_the_mean():
    images = images_of() + 3
    factors = Brightness(0.3).apply(images, numbers_of(Brightness())) / images
    np.testing.assert_allclose(factors, factors[:, :1, :1, :1] * np.ones_like(images))
    assert 0.7 <= factors.min() < 0.75
    assert 1.25 < factors.max() <= 1.3
    changed = Contrast(0.3).apply(images, numbers_of(Contrast()))
    axes = (1, 2, 3)
    np.testing.assert_allclose(changed.mean(axis=axes), images.mean(axis=axes))
    spread = changed.std(axis=axes) / images.std(axis=axes)
    np.testing.assert_allclose(spread, 1 + 0.3 * (2 * numbers_of(Contrast())[:, 0] - 1))


# When, and to which images


@dataclass(frozen=True, repr=False)
class Blank(Augmentation):
    """Leaves nothing of an image."""

    draws = 0

    def apply(self, images, random):
        return np.zeros_like(images)


@dataclass(frozen=True, repr=False)
class Half(Augmentation):
    def apply(self, images, random):
        return images[:, ::2]


def test_only_training_images_are_changed(digits):
    X, X_test, y, y_test = digits
    fit = {"X_val": X_test, "y_val": y_test}
    still = {"learning_rate_init": 1e-30, "batch_norm": False, "dropout": 0.0}
    plain = small(**still).fit(X, y, **fit)
    blank = small(**still, augment=[Blank()]).fit(X, y, **fit)
    # the start is the same for both and stays what it was: they differ by what they trained on
    np.testing.assert_array_equal(blank.predict_proba(X), plain.predict_proba(X))
    np.testing.assert_array_equal(
        blank.history_["validation_loss"], plain.history_["validation_loss"]
    )
    of_a_blank_image = plain.predict_proba(np.zeros((1, 64)))[0]
    assert blank.loss_ == pytest.approx(-np.log(of_a_blank_image[y]).mean())
    assert plain.loss_ == pytest.approx(log_loss(y, plain.predict_proba(X)))


def test_they_run_in_the_order_given_on_what_the_user_gave(digits):
    X, _, y, _ = digits
    # all is covered before it is made brighter: zero stays zero, whatever standardize does later
    clf = small(learning_rate_init=1e-30, augment=[Blank(), Brightness(1.0)]).fit(X, y)
    assert clf.loss_ == small(learning_rate_init=1e-30, augment=[Blank()]).fit(X, y).loss_


@each
def test_same_seed_same_bits_for_any_number_of_threads(digits, step):
    X, _, y, _ = digits
    one, two = (small(augment=[step], n_jobs=n).fit(X[:300], y[:300]) for n in (1, 2))
    assert_same_weights(one, two)
    other = small(augment=[step], random_state=1).fit(X[:300], y[:300])
    assert other.loss_ != one.loss_


def test_every_epoch_changes_the_images_anew(digits):
    X, _, y, _ = digits
    seen = []

    @dataclass(frozen=True, repr=False)
    class Spy(Augmentation):
        def apply(self, images, random):
            seen.append(random[:, 0].tolist())
            return images

    small(augment=[Spy()], n_jobs=1, shuffle=False).fit(X[:64], y[:64])
    first, second = seen
    assert len({*first, *second}) == 128
    assert 0 <= min(first) < 0.1 < 0.9 < max(first) < 1


def test_two_of_a_kind_draw_apart(digits):
    X, _, y, _ = digits
    twice = small(augment=[Shift(2), Shift(2)]).fit(X[:300], y[:300])
    named_otherwise = small(augment=[("a", Shift(2)), ("b", Shift(2))]).fit(X[:300], y[:300])
    assert twice.loss_ != named_otherwise.loss_
    images = images_of(n=200)
    rng = np.random.default_rng(0)
    drawn = {}

    def random(name, count):
        return drawn.setdefault(name, rng.random((200, count)))

    changed = augmented(images, named([Shift(2), Shift(2)], "augment"), random)
    assert set(drawn) == {"shift_1", "shift_2"}
    once = Shift(2).apply(Shift(2).apply(images, drawn["shift_1"]), drawn["shift_2"])
    np.testing.assert_array_equal(changed, once)


def test_weight_two_is_given_twice(digits):
    X, _, y, _ = digits
    X, y = X[:50], y[:50]
    params = {"augment": [Affine(15)], "batch_size": 200, "standardize": False, "dtype": "float64"}
    weighted = small(**params).fit(X, y, sample_weight=np.full(50, 2.0))
    twice = small(**params).fit(np.repeat(X, 2, axis=0), np.repeat(y, 2))
    np.testing.assert_allclose(weights_of(weighted), weights_of(twice), rtol=1e-9, atol=1e-12)


def test_epochs_one_by_one_are_those_of_one_fit(digits):
    X, _, y, _ = digits
    whole = small(augment=[Shift(1), Brightness()], max_iter=3, warm_start=True).fit(X, y)
    parts = small(augment=[Shift(1), Brightness()], max_iter=1, warm_start=True)
    for _ in range(3):
        parts.fit(X, y)
    assert_same_weights(parts, whole)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float16, np.float32, np.float64])
def test_every_type_of_image_is_changed_in_floating_point(digits, dtype):
    X, _, y, _ = digits
    X = X.astype(dtype)
    X.flags.writeable = False
    clf = small(augment=[Contrast(0.5), Affine(10)], dtype="float64").fit(X, y)
    same = small(augment=[Contrast(0.5), Affine(10)], dtype="float64").fit(X.astype(np.float64), y)
    assert clf.loss_ == pytest.approx(same.loss_, rel=1e-9)


def test_a_network_that_begins_with_flatten_sees_them_too(digits):
    X, _, y, _ = digits
    clf = small(conv_filters=(), augment=[Blank()], learning_rate_init=1e-30).fit(X, y)
    assert clf.loss_ < small(conv_filters=(), learning_rate_init=1e-30).fit(X, y).loss_


def test_shifts_help_where_the_test_images_are_shifted(digits):
    X, X_test, y, y_test = digits
    moved = np.roll(X_test.reshape(-1, 8, 8), 1, axis=2)
    params = {"max_iter": 15, "conv_filters": (8, 16), "learning_rate_init": 0.005}
    plain = small(**params).fit(X, y).score(moved, y_test)
    assert small(**params, augment=[Shift(1)]).fit(X, y).score(moved, y_test) > plain + 0.1


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float64])
def test_images_can_be_looked_at(dtype):
    images = (images_of() * 40 + 100).clip(0, 255).astype(dtype)
    augment = [("shift", Shift(1)), Contrast(0.5)]
    changed = augment_images(images, augment, random_state=0)
    assert changed.dtype == np.result_type(dtype, np.float32)
    rng = np.random.default_rng(0)
    expected = images.astype(changed.dtype)
    for _, step in named(augment):
        expected = step.apply(expected, rng.random((len(images), step.draws)))
    np.testing.assert_array_equal(changed, expected)
    np.testing.assert_array_equal(augment_images(images, augment, random_state=0), changed)
    gray = augment_images(images[..., 0], augment, random_state=0)
    assert gray.shape == images.shape[:3]
    with pytest.raises(ValueError, match=r"images has the shape \(9, 7\); needed"):
        augment_images(images[0, :, :, 0], augment)


# In scikit-learn


def test_grid_search_over_them_and_into_them(digits):
    X, _, y, _ = digits
    grid = {"augment": [None, [], [Shift(1)], (("move", Shift(2)), Cutout(2))]}
    search = GridSearchCV(small(max_iter=1), grid, cv=2).fit(X[:200], y[:200])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    deeper = GridSearchCV(
        small(max_iter=1, augment=[Shift(1), Cutout(2)]),
        {"shift_1__pixels": [1, 2], "cutout_1": [Cutout(3), Brightness()]},
        cv=2,
    ).fit(X[:200], y[:200])
    assert np.isfinite(deeper.cv_results_["mean_test_score"]).all()


def test_names_work_in_parameters_and_clones():
    clf = small(augment=[Shift(2), ("dark", Brightness(0.5))])
    assert clf.get_params()["dark__amount"] == 0.5
    clf.set_params(shift_1__pixels=(0, 3), dark=Contrast())
    assert dict(clf.augment) == {"shift_1": Shift((0, 3)), "dark": Contrast()}
    assert clone(clf).augment == clf.augment


@pytest.mark.parametrize(
    ("augment", "error", "message"),
    [
        ([1], TypeError, "augment holds 1 of type int; each item must be an augmentation"),
        ([Conv2D(3)], TypeError, r"Conv2D\(filters=3\) of type Conv2D; each item must be an aug"),
        ([Shift], TypeError, "augment holds the class Shift; give an instance"),
        ([Shift(8)], ValueError, r"'shift_1': Shift\(pixels=8\) is given images of 8x8 pixels"),
        ([RandomCrop((1, 9))], ValueError, "images of 8x8 pixels; needed: padding less than"),
        ([Cutout(8)], ValueError, "8x8 pixels, which it may cover completely"),
        ([Half()], ValueError, r"Half\(\) turns images of shape \(\d+, 8, 8, 1\) into"),
        (
            [("alpha", Shift())],
            ValueError,
            "augment names an augmentation 'alpha', which is the name",
        ),
        ([("a", Shift()), ("a", Shift())], ValueError, "augment names two augmentations 'a'"),
    ],
    ids=repr,
)
def test_what_cannot_be_done_is_refused(digits, augment, error, message):
    X, _, y, _ = digits
    with pytest.raises(error, match=message):
        small(augment=augment).fit(X, y)


def test_a_name_of_a_layer_is_taken(digits):
    X, _, y, _ = digits
    clf = NumpyCNNClassifier(layers=[("move", Conv2D(3))], augment=[("move", Shift())])
    with pytest.raises(ValueError, match="augment names an augmentation 'move'"):
        clf.fit(X, y)


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        (Shift, {"pixels": -1}),
        (Shift, {"pixels": 1.5}),
        (Shift, {"fill": "white"}),
        (RandomCrop, {"padding": (1, 2, 3)}),
        (RandomCrop, {"border": "wrap"}),
        (HorizontalFlip, {"rate": 1.5}),
        (Affine, {"degrees": 200}),
        (Affine, {"zoom": 1.0}),
        (Affine, {"shear": -0.1}),
        (Affine, {"shift": np.nan}),
        (Cutout, {"size": 0}),
        (Brightness, {"amount": 2}),
        (Contrast, {"amount": -1}),
    ],
)
def test_senseless_numbers_are_refused_at_once(kind, params):
    (name,) = params
    with pytest.raises(ValueError, match=f"{kind.__name__}: {name}=.*; needed: "):
        kind(**params)


def test_none_and_an_empty_list_are_no_augmentation():
    assert steps_of(None, (8, 8, 1)) == steps_of([], (8, 8, 1)) == ()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "step",
    [
        Affine(180, 1 - 1e-16, 2.0**20, 2.0**20, fill=-3e38),
        Affine(0, 1 - 1e-16, 2.0**20),
        Affine(90, 0, 0, 2.0**20),
        Affine(5e-324, 5e-324, 5e-324, 5e-324, 5e-324),
        Shift(3, fill=3.4e38),
        RandomCrop(3, border=-3.4e38),
        Cutout(3, fill=3.4e38),
        Brightness(1.0),
        Contrast(1.0),
    ],
    ids=repr,
)
def test_the_strongest_changes_make_finite_images(step, dtype):
    ends = np.array([0.0, 0.5, 1.0 - 2.0**-32])
    random = np.stack(np.meshgrid(*[ends] * step.draws), axis=-1).reshape(-1, step.draws)
    images = np.random.default_rng(0).uniform(-1, 1, (len(random), 5, 7, 2)).astype(dtype)
    changed = step.apply(images, random)
    assert changed.dtype == dtype
    assert np.isfinite(changed).all()


@pytest.mark.parametrize(
    ("images", "random_state", "message"),
    [
        (np.zeros(3), 0, r"images has the shape \(3,\); needed: \(n, h, w\)"),
        (np.zeros((2, 0, 3)), 0, r"images has the shape \(2, 0, 3\); needed"),
        (np.full((2, 3, 3), "a"), 0, r"images has the dtype <U1; needed: numbers"),
        (np.full((2, 3, 3), None), 0, r"images has the dtype object; needed: numbers"),
        (np.zeros((2, 3, 3), complex), 0, r"images has the dtype complex128; needed: numbers"),
        (np.zeros((2, 3, 3)), "seed", r"random_state='seed'; needed: an integer of at least 0"),
        (np.zeros((2, 3, 3)), -1, r"random_state=-1; needed: an integer of at least 0"),
        (np.zeros((2, 3, 3)), 0.5, r"random_state=0.5; needed: an integer of at least 0"),
    ],
    ids=str,
)
def test_images_to_look_at_are_numbers_and_their_seed_is_one(images, random_state, message):
    with pytest.raises(ValueError, match=message):
        augment_images(images, [HorizontalFlip()], random_state)


def test_no_images_are_changed_into_none():
    assert augment_images(np.zeros((0, 3, 3)), [HorizontalFlip()]).shape == (0, 3, 3)


def test_an_augmentation_that_returns_something_else_is_named():
    class Nothing(HorizontalFlip):
        def apply(self, images, random):
            return None

    with pytest.raises(ValueError, match=r"augment 'nothing_1': .* into \(\); needed: the same"):
        augment_images(np.zeros((2, 3, 3)), [Nothing()])
