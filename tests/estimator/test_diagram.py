"""Estimators in notebooks: the network in scikit-learn's diagram, whatever state they are in."""

import pickle
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import sknpcnn
from sknpcnn import NumpyCNNClassifier, NumpyCNNFeatures, NumpyCNNRegressor, architectures
from sknpcnn.augmentation import Cutout, Shift
from sknpcnn.datasets import ImageLoader
from sknpcnn.layers import (
    Add,
    Branches,
    Conv2D,
    Dropout,
    GlobalAvgPool2D,
    Layer,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
    SqueezeExcite,
)
from sknpcnn.optimizers import SGD
from sknpcnn.schedules import CosineDecay
from tests.processes import python

EMPTY = {"br", "img", "input", "meta", "link", "hr"}


class Element:
    """An element of a page: its tag, attributes, text and the elements in it."""

    def __init__(self, tag, attributes, parent):
        self.tag, self.attributes, self.parent = tag, attributes, parent
        self.content = []

    @property
    def text(self):
        parts = [part if isinstance(part, str) else part.text for part in self.content]
        return " ".join("".join(parts).split())

    def all(self, kind):
        """All elements within with a class."""
        for part in self.content:
            if isinstance(part, Element):
                if kind in part.attributes.get("class", "").split():
                    yield part
                yield from part.all(kind)


class Page(HTMLParser):
    """A page whose tags must be balanced."""

    def __init__(self, text):
        super().__init__()
        self.root = self.here = Element("", {}, None)
        self.feed(text)
        self.close()
        assert self.here is self.root, f"<{self.here.tag}> is not closed"

    def handle_starttag(self, tag, attributes):
        element = Element(tag, dict(attributes), self.here)
        self.here.content.append(element)
        if tag not in EMPTY:
            self.here = element

    def handle_startendtag(self, tag, attributes):
        self.here.content.append(Element(tag, dict(attributes), self.here))

    def handle_endtag(self, tag):
        assert tag == self.here.tag, f"</{tag}> closes <{self.here.tag}>"
        self.here = self.here.parent

    def handle_data(self, data):
        self.here.content.append(data)


def page_of(estimator):
    return Page(estimator._repr_html_()).root


def networks_of(estimator):
    """The sections of a diagram that show networks."""
    return list(page_of(estimator).all("sknpcnn"))


def network_of(estimator):
    (section,) = networks_of(estimator)
    return section


def lines_of(section):
    """What the rows of a network say, without the headings."""
    rows = list(section.all("sknpcnn-row"))
    return [next(r.all("sknpcnn-layer")).text for r in rows if "sknpcnn-head" not in kinds(r)]


def rows_of(section):
    """The rows of the layers that are not in other layers."""
    content = next(section.all("sknpcnn-inside")).content
    return [part for part in content if "sknpcnn-head" not in kinds(part)]


def kinds(element):
    return element.attributes["class"].split()


def names_in(section):
    return [name.text for name in section.all("sknpcnn-name")]


def widths(elements):
    found = [re.search(r"width: ([\d.]+)%", bar.attributes["style"])[1] for bar in elements]
    return np.array(found, dtype=float)


def table_of(estimator):
    """The values that the table of parameters shows."""
    page = page_of(estimator)
    return {
        row.content[3].text: row.content[5].text
        for kind in ("user-set", "default")
        for row in page.all(kind)
        if len(row.content) == 7
    }


@dataclass(frozen=True, repr=False)
class Double(Layer):
    """A layer of a user, as it should be."""

    label: Any = None

    def forward(self, params, x, ctx):
        return 2 * x, None

    def backward(self, params, cache, dy, grads, ctx):
        return 2 * dy


@dataclass(frozen=True, repr=False)
class Shy(Double):
    def __repr__(self):
        raise RuntimeError("nobody may see this")


class Raising:
    def __repr__(self):
        raise RuntimeError("nobody may see this")


MIXED = [
    Conv2D(4),
    ReLU(),
    ("block", Residual([Conv2D(4), ReLU(), SqueezeExcite(2)])),
    Branches([Conv2D(2, 1), [Conv2D(3, 1), ReLU(), Conv2D(4)]]),
    MaxPool2D(2),
    Residual([Conv2D(8, stride=2)], shortcut=Conv2D(8, 1, stride=2)),
    Sequential([Conv2D(4), Add([Conv2D(4), Conv2D(4, 1)])]),
    Double(),
    GlobalAvgPool2D(),
]


@pytest.fixture(scope="module")
def few(digits):
    X, _, y, _ = digits
    return X[:60], y[:60]


@pytest.fixture(scope="module")
def fitted(few):
    return NumpyCNNClassifier(layers=MIXED, max_iter=1, random_state=0).fit(*few)


@pytest.fixture(scope="module")
def blocks(few):
    return NumpyCNNClassifier(4, max_iter=1, random_state=0).fit(*few)


def test_rows_of_a_fitted_network_are_those_of_its_summary(fitted):
    section = network_of(fitted)
    rows = rows_of(section)
    table = fitted.summary()
    assert len(rows) == len(table)
    for row, expected in zip(rows, table.itertuples(), strict=True):
        name, kind = (next(row.all(f"sknpcnn-{what}")).text for what in ("name", "kind"))
        assert (name, kind) == (expected.name, expected.kind)
        shape, count = (next(row.all(f"sknpcnn-{what}")).text for what in ("shape", "count"))
        assert shape == " \u00d7 ".join(map(str, expected.output_shape))
        assert count == (f"{expected.parameters:,}" if expected.parameters else "")
    total = f"{table['parameters'].sum():,} parameters, {table['multiply_adds'].sum():,} multiply"
    assert total in next(part for part in section.content[0].content).text


def test_composites_are_boxes_with_their_layers_inside(fitted):
    section = network_of(fitted)
    boxes = {names_in(box)[0]: box for box in section.all("sknpcnn-box")}
    assert {"block", "branches_1", "residual_2", "sequential_1"} < set(boxes)
    assert names_in(boxes["block"])[:5] == [
        *("block", "conv2d_1", "relu_1", "squeezeexcite_1", "W_squeeze")
    ]
    assert "shortcut" in names_in(boxes["residual_2"])
    assert "the input itself" in boxes["block"].text
    inner = [names_in(box)[0] for box in boxes["sequential_1"].all("sknpcnn-box")]
    assert inner == ["add_1"]
    assert len(list(boxes["add_1"].all("sknpcnn-branch"))) == 2


def test_bars_of_all_layers_make_up_the_whole(fitted):
    first = [bar for row in rows_of(network_of(fitted)) for bar in list(row.all("sknpcnn-bar"))[:1]]
    assert widths(first).sum() == pytest.approx(100, abs=0.005 * len(first))
    multiply_adds = fitted.summary()["multiply_adds"]
    shares = 100 * multiply_adds[multiply_adds > 0] / multiply_adds.sum()
    np.testing.assert_allclose(widths(first), shares, atol=0.0051)


def test_bars_within_a_box_make_up_that_of_the_box(fitted):
    for box in network_of(fitted).all("sknpcnn-box"):
        line, inside = box.content
        own = widths(line.all("sknpcnn-bar"))
        children = [part for part in inside.content if "sknpcnn-branch" not in kinds(part)]
        children += [
            each
            for branch in inside.content
            for each in branch.content
            if "sknpcnn-branch" in kinds(branch)
        ]
        bars = [bar for child in children for bar in list(child.all("sknpcnn-bar"))[:1]]
        if bars:  # the arrays of a layer have none
            assert widths(bars).sum() == pytest.approx(own[0], abs=0.03)


@pytest.mark.parametrize("fit", [False, True])
def test_what_users_name_is_escaped(few, fit):
    evil = "<script>alert('&')</script><b>"
    clf = NumpyCNNClassifier(
        layers=[Double(evil), ("conv", Conv2D(2)), Sequential([Double(evil)])], max_iter=1
    )
    if fit:
        clf.fit(few[0], np.where(few[1] > 4, evil, "b"))
    page = clf._repr_html_()
    assert "alert(" in page
    assert evil not in page
    assert "<b>" not in Page(page).root.text.replace(evil, "")
    tags = re.findall(r"<script", page)
    assert len(tags) == 1, "only that of scikit-learn"


def test_network_before_a_fit_has_its_layers_without_shapes():
    section = network_of(NumpyCNNClassifier(layers=MIXED))
    lines = lines_of(section)
    assert lines[:3] == ["conv2d_1 Conv2D(4)", "relu_1 ReLU()", "block Residual 2 branches"]
    assert lines[-1] == "output Dense a unit for each class"
    assert not list(section.all("sknpcnn-shape"))


def test_automatic_parameters_stay_automatic_before_a_fit():
    lines = lines_of(network_of(NumpyCNNClassifier()))
    assert [line.split()[0] for line in lines] == [
        *("conv_filters", "global_pooling", "hidden_layer_sizes", "dropout", "output")
    ]
    assert all('"auto"' in line for line in lines[:3])
    lines = lines_of(network_of(NumpyCNNRegressor((8, 16), global_pooling=False)))
    assert [line.split()[0] for line in lines] == [
        *("conv2d_1", "batchnorm_1", "relu_1", "maxpool2d_1", "dropout_1"),
        *("conv2d_2", "batchnorm_2", "relu_2", "maxpool2d_2", "dropout_2"),
        *("flatten_1", "output"),
    ]
    assert lines[-1] == "output Dense a unit for each value to predict"


@pytest.mark.parametrize(
    ("params", "shown"),
    [
        ({"conv_filters": 8}, "conv2d_1 batchnorm_1 relu_1 maxpool2d_1 global_pooling dropout"),
        ({"conv_filters": 8, "dropout": 0, "batch_norm": False, "global_pooling": True},
         "conv2d_1 relu_1 maxpool2d_1 globalavgpool2d_1"),
        ({"conv_filters": ()}, "flatten_1 dense_1 batchnorm_1 relu_1 dropout_1"),
        ({"global_pooling": True, "hidden_layer_sizes": 5, "dropout": 0},
         "conv_filters globalavgpool2d_1 dense_1 batchnorm_1 relu_1"),
        ({"global_pooling": False, "kernel_size": [3, 5], "dropout": 0},
         "conv_filters flatten_1 hidden_layer_sizes"),
    ],
)  # fmt: skip
def test_parameters_say_what_is_known_before_a_fit(params, shown):
    lines = lines_of(network_of(NumpyCNNClassifier(**params)))
    assert [line.split()[0] for line in lines] == [*shown.split(), "output"]


@pytest.mark.parametrize("params", [{}, {"layers": [Conv2D(4), ReLU(), GlobalAvgPool2D()]}])
def test_shapes_before_a_fit_are_those_after_it_if_the_image_is_known(params):
    X = np.random.default_rng(0).random((20, 12, 12, 3)).astype("float32")
    before = NumpyCNNClassifier(image_shape=(12, 12, 3), max_iter=0, **params)
    shapes = [cell.text for cell in network_of(before).all("sknpcnn-shape")]
    after = before.fit(X, np.arange(20) % 2)
    assert shapes == [cell.text for cell in network_of(after).all("sknpcnn-shape")][:-1]


def test_layers_that_do_not_fit_the_image_are_shown_without_shapes():
    section = network_of(NumpyCNNClassifier(layers=[Conv2D(4, 9, padding=0)], image_shape=(4, 4)))
    assert lines_of(section)[0] == "conv2d_1 Conv2D(4, kernel_size=9, padding=0)"
    assert not list(section.all("sknpcnn-shape"))


@pytest.mark.parametrize("name", architectures.__all__)
def test_all_architectures_are_shown(name):
    clf = NumpyCNNClassifier(layers=getattr(architectures, name)(), image_shape=(32, 32, 3))
    known = network_of(clf)
    names = [name for name, _ in sknpcnn.spec.named(clf.layers)]
    assert [names_in(row)[0] for row in rows_of(known)] == [*names, "output"]
    assert network_of(clf.set_params(image_shape=None)) is not None


def test_boxes_of_long_networks_are_closed():
    deep = [Residual([Conv2D(4), ReLU()]) for _ in range(20)]
    for layers, is_open in ((deep[:3], True), (deep, False)):
        for box in network_of(NumpyCNNClassifier(layers=layers)).all("sknpcnn-box"):
            assert ("open" in box.attributes) == is_open


def test_parameters_are_shown_as_one_writes_them():
    layers = [Conv2D(32, 5), ReLU(), ("pool", MaxPool2D()), Residual([Conv2D(32), ReLU()])]
    clf = NumpyCNNClassifier(
        layers=layers,
        solver=SGD(momentum=0.9, nesterov=True),
        augment=[Shift(3), Cutout(4)],
        learning_rate=CosineDecay(warmup=2),
        image_shape=(28, 28),
    )
    shown = table_of(clf)
    assert shown["layers"] == (
        "[Conv2D(32, kernel_size=5), ReLU(), ('pool', MaxPool2D()), Residual([Conv2D(32), ReLU()])]"
    )
    assert shown["solver"] == "SGD(momentum=0.9, nesterov=True)"
    assert shown["augment"] == "[Shift(pixels=3), Cutout(size=4)]"
    assert shown["learning_rate"] == "CosineDecay(warmup=2)"
    assert shown["image_shape"] == "(28, 28)"
    assert shown["loss"] == "'auto'"
    again = eval(shown["layers"], {**vars(sknpcnn.layers)})
    assert NumpyCNNClassifier(layers=again).get_params()["pool"] == MaxPool2D()


def test_very_long_parameters_are_shortened():
    clf = NumpyCNNClassifier(layers=[Conv2D(4, 3, groups=2, bias=False)] * 500)
    assert len(table_of(clf)["layers"]) < 1100


def attributes_of(estimator):
    rows = [row for row in page_of(estimator).all("default") if list(row.all("fitted-att-type"))]
    return {row.content[1].text: tuple(cell.text for cell in row.content[3::2][:2]) for row in rows}


def test_long_fitted_attributes_fit_into_a_line(blocks):
    clf = pickle.loads(pickle.dumps(blocks))
    clf.loss_curve_ = [1 / i for i in range(1, 1001)]
    shown = attributes_of(clf)
    assert shown["loss_curve_"] == ("list of 1,000", "[1, 0.5, 0.333, ..., 0.001, 0.001, 0.001]")
    kind, value = shown["history_"]
    assert kind == "DataFrame of 1 x 6"
    assert value.startswith("train_loss, train_score, ")
    assert shown["out_activation_"] == ("str", "'softmax'")
    assert shown["best_validation_score_"] == ("NoneType", "None")


NONSENSE = [None, 3, "x", [], {}, np.zeros(3), object(), Raising(), np.array([Raising()], object)]


def test_diagram_of_a_broken_estimator_never_raises(blocks):
    state = pickle.dumps(blocks)
    attributes = [name for name in vars(blocks) if name not in blocks.get_params(deep=False)]
    assert len(attributes) > 15
    for name in attributes:
        broken = pickle.loads(state)
        vars(broken).pop(name)
        assert_shown(broken)
        for value in NONSENSE:
            broken = pickle.loads(state)
            vars(broken)[name] = value
            assert_shown(broken)


def assert_shown(estimator):
    assert repr(estimator).startswith(type(estimator).__name__)
    assert type(estimator).__name__ in page_of(estimator).text


def test_network_of_a_broken_estimator_is_left_out(blocks):
    broken = pickle.loads(pickle.dumps(blocks))
    broken.image_shape_ = "nonsense"
    page = page_of(broken)
    assert not list(page.all("sknpcnn"))
    assert list(page.all("parameters-table"))


@pytest.mark.parametrize("name", ["history_", "out_activation_", "best_validation_score_"])
def test_attribute_of_a_broken_estimator_says_so(blocks, name):
    broken = pickle.loads(pickle.dumps(blocks))
    broken.classes_ = None
    assert not hasattr(broken, name)
    with pytest.raises(AttributeError, match=f"{name}: its fitted attributes were changed"):
        getattr(broken, name)
    with pytest.raises(AttributeError, match=f"NumpyCNNClassifier has no {name} before fit"):
        getattr(NumpyCNNClassifier(), name)


@pytest.mark.parametrize("layer", [Shy(), Double(Raising()), Double(np.zeros((99, 99)))])
def test_layers_that_cannot_be_shown_do_not_hide_the_others(few, layer):
    clf = NumpyCNNClassifier(layers=[Conv2D(2), layer, Sequential([layer, ReLU()])], max_iter=1)
    for estimator in (clf, make_pipeline(clf), GridSearchCV(clf, {"alpha": [0]})):
        assert "Conv2D" in repr(estimator)
        (section,) = networks_of(estimator)
        assert "ReLU()" in section.text
    assert_shown(clf.fit(*few))
    assert len(networks_of(clf)) == 1


def test_layer_whose_description_fails_leaves_the_rest_of_the_diagram():
    @dataclass(frozen=True, repr=False)
    class Failing(Double):
        @property
        def branches(self):
            raise RuntimeError("not now")

    clf = NumpyCNNClassifier(layers=[Double()])
    vars(clf)["layers"] = [Failing()]
    assert networks_of(clf) == []
    assert_shown(clf)


def test_nonsense_in_parameters_is_shown_as_it_is():
    for value in NONSENSE[:-2]:
        for name in ("layers", "conv_filters", "image_shape", "pool_size", "estimator"):
            kind = NumpyCNNFeatures if name == "estimator" else NumpyCNNClassifier
            assert_shown(kind(**{name: value}))


def test_loaded_estimators_look_as_those_that_were_saved(fitted, blocks, tmp_path):
    sio = pytest.importorskip("skops.io")
    joblib.dump(fitted, tmp_path / "model.joblib")
    expected = network_of(fitted).text
    assert network_of(joblib.load(tmp_path / "model.joblib")).text == expected
    sknpcnn.save(blocks, tmp_path / "model.sknpcnn")
    expected = network_of(blocks).text
    assert network_of(sknpcnn.load(tmp_path / "model.sknpcnn")).text == expected
    saved = sio.dumps(blocks)
    loaded = sio.loads(saved, trusted=sio.get_untrusted_types(data=saved))
    assert network_of(loaded).text == expected


def test_networks_are_shown_inside_of_other_estimators(few):
    X, y = few
    clf = NumpyCNNClassifier(3, max_iter=1, random_state=0)
    y = y % 2
    search = GridSearchCV(make_pipeline(clf), {"numpycnnclassifier__alpha": [0]}, cv=2)
    assert len(networks_of(search)) == 1
    assert "parameters," not in network_of(search).text
    assert "parameters," in network_of(search.fit(X, y)).text
    voting = VotingClassifier([("a", clf), ("b", clf)])
    assert len(networks_of(voting)) == 2
    assert len(networks_of(voting.fit(X, y))) == 2
    stacking = StackingClassifier([("a", clf)], final_estimator=LogisticRegression(), cv=2)
    assert len(networks_of(stacking.fit(X, y))) == 1
    assert_shown(stacking)


def test_features_show_the_network_up_to_their_layer(few, blocks):
    plain = NumpyCNNFeatures()
    assert len(networks_of(plain)) == 1
    features = NumpyCNNFeatures(NumpyCNNClassifier(3), layer="relu_1")
    assert [len(lines_of(section)) for section in networks_of(features)] == [3, 7]
    own, whole = networks_of(features.fit(few[0]))
    assert lines_of(own) == lines_of(whole)[:3]
    assert "parameters," in own.text
    assert attributes_of(features)["layer_"] == ("str", "'relu_1'")
    frozen = NumpyCNNFeatures(FrozenEstimator(blocks), layer="relu_1")
    assert [len(lines_of(section)) for section in networks_of(frozen)] == [3, 7]
    assert_shown(frozen.fit(few[0]))
    vars(frozen)["estimator_"] = None
    assert_shown(frozen)


def test_diagram_links_to_the_documentation_once_it_has_an_address():
    for estimator in (NumpyCNNClassifier(), NumpyCNNFeatures(), ImageLoader(8)):
        assert "href=" not in estimator._repr_html_()
    program = """
import sknpcnn.version
sknpcnn.version.DOCUMENTATION = "https://docs.example"
from sknpcnn import NumpyCNNClassifier, NumpyCNNFeatures
from sknpcnn.datasets import ImageLoader
for estimator in (NumpyCNNClassifier(), NumpyCNNFeatures(), ImageLoader(8)):
    page = estimator._repr_html_()
    print(page.split('target="_blank" href="')[1].split('"')[0])
"""
    assert python(program).split() == [
        "https://docs.example/api/sknpcnn.NumpyCNNClassifier.html",
        "https://docs.example/api/sknpcnn.NumpyCNNFeatures.html",
        "https://docs.example/api/sknpcnn.datasets.ImageLoader.html",
    ]


def test_importing_an_estimator_does_not_import_the_diagram():
    loaded = python("import sys; from sknpcnn import NumpyCNNFeatures; print(*sys.modules)")
    assert "sknpcnn._estimator.estimator" in loaded.split()
    assert "sknpcnn._estimator.diagram" not in loaded.split()


def test_styled_summary_has_totals_and_bars(fitted):
    pytest.importorskip("jinja2")
    table = fitted.summary()
    page = Page(fitted.summary(style=True).to_html()).root
    text = page.text
    assert f"{table['parameters'].sum():,}" in text
    assert f"{table['multiply_adds'].sum():,}" in text
    assert "8 \u00d7 8 \u00d7 4" in text
    assert "total" in text
    assert fitted.summary(style=False).equals(table)


def test_styled_summary_escapes_and_takes_networks_without_multiply_adds(few):
    pytest.importorskip("jinja2")
    clf = NumpyCNNClassifier(layers=[Dropout(0.1)], max_iter=0).fit(few[0][:, :1], few[1])
    assert "dropout_1" in clf.summary(style=True).to_html()


def test_styled_summary_says_what_to_install():
    program = """
import sys
sys.modules["jinja2"] = None
import numpy as np
from sknpcnn import NumpyCNNClassifier
clf = NumpyCNNClassifier(3, max_iter=0).fit(np.ones((9, 64)), np.arange(9) % 2)
clf.summary()
try:
    clf.summary(style=True)
except ImportError as error:
    print(error)
"""
    expected = "summary(style=True) needs Jinja2: pip install 'sknpcnn[notebook]'."
    assert python(program).strip() == expected
