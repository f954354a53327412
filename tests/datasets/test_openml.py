"""What is fetched from OpenML: by scikit-learn's own function, offline, from a cache made here."""

import gzip
import hashlib
import json
from urllib.error import URLError

import numpy as np
import pytest
import sklearn.datasets
from sklearn.datasets import _openml

from sknpcnn.datasets import fetch_cifar10, fetch_fashion_mnist, fetch_mnist, openml

FETCH = {
    "mnist_784": (fetch_mnist, 784),
    "Fashion-MNIST": (fetch_fashion_mnist, 784),
    "CIFAR_10": (fetch_cifar10, 3072),
}


def put(home, path, content):
    """Put a file where fetch_openml keeps what it has downloaded."""
    path = home / "openml" / "openml.org" / f"{path}.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content.encode()))


def fill_cache(home, name, rows, labels):
    """Make a cache in which a data set has these rows."""

    def column(index, title, kind):
        no = dict.fromkeys(["is_target", "is_ignore", "is_row_identifier"], "false")
        common = {"index": str(index), "name": title, "number_of_missing_values": "0"}
        return {**common, "data_type": kind, **no}

    width = rows.shape[1]
    columns = [column(i, f"pixel{i + 1}", "numeric") for i in range(width)]
    columns.append(column(width, "class", "nominal") | {"is_target": "true"})
    table = "\n".join(
        ",".join(map(str, [*row, label])) for row, label in zip(rows, labels, strict=True)
    )
    attributes = [f"@ATTRIBUTE pixel{i + 1} real" for i in range(width)]
    attributes.append("@ATTRIBUTE class {0,1,2,3,4,5,6,7,8,9}")
    arff = "\n".join([f"@RELATION {name}", *attributes, "@DATA", table, ""])
    description = {
        "id": "1",
        "name": name,
        "version": "1",
        "description": f"What OpenML says about {name}.",
        "format": "ARFF",
        "status": "active",
        "url": "https://openml.org/data/v1/download/1/data.arff",
        "md5_checksum": hashlib.md5(arff.encode()).hexdigest(),
    }
    api = "api/v1/json/data"
    found = {"data": {"dataset": [{"did": 1, "name": name, "version": 1, "status": "active"}]}}
    query = f"{api}/list/data_name/{name.lower()}/limit/2/data_version/1"
    put(home, query, json.dumps(found))
    put(home, f"{api}/1", json.dumps({"data_set_description": description}))
    put(home, f"{api}/features/1", json.dumps({"data_features": {"feature": columns}}))
    quality = [{"name": "NumberOfInstances", "value": str(len(rows))}]
    put(home, f"{api}/qualities/1", json.dumps({"data_qualities": {"quality": quality}}))
    put(home, "data/v1/download/1/data.arff", arff)


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def refuse(request):
        raise URLError("there is no network")

    monkeypatch.setattr(_openml, "urlopen", refuse)


@pytest.fixture(params=FETCH)
def cached(request, tmp_path, monkeypatch):
    """A small data set in the cache: its name, where that is, and what is in it."""
    rng = np.random.default_rng(0)
    rows = rng.integers(256, size=(9, FETCH[request.param][1]))
    labels = np.arange(9)[::-1]
    monkeypatch.setitem(openml.ROWS, request.param, (6, 3))
    fill_cache(tmp_path, request.param, rows, labels)
    return request.param, tmp_path, rows, labels


def test_rows_become_images(cached):
    name, home, rows, labels = cached
    found = FETCH[name][0](split="all", data_home=home)
    if name == "CIFAR_10":
        images = np.stack([rows[:, k : k + 1024].reshape(-1, 32, 32) for k in (0, 1024, 2048)], -1)
    else:
        images = rows.reshape(-1, 28, 28)
    np.testing.assert_array_equal(found.data, images)
    np.testing.assert_array_equal(found.target, labels)
    assert (found.data.dtype, found.target.dtype) == (np.uint8, np.int64)
    assert found.data.flags.c_contiguous
    expected = {"mnist_784": "9", "Fashion-MNIST": "Ankle boot", "CIFAR_10": "truck"}
    assert found.target_names[9] == expected[name]
    assert found.DESCR.startswith(f"What OpenML says about {name}.")


def test_first_rows_are_for_training_and_the_others_for_testing(cached):
    name, home, _, labels = cached
    fetch = FETCH[name][0]
    X, y = fetch(data_home=home, return_X_y=True)
    assert (len(X), y.tolist()) == (6, labels[:6].tolist())
    X, y = fetch(data_home=str(home), split="test", return_X_y=True)
    assert (len(X), y.tolist()) == (3, labels[6:].tolist())


def test_data_of_another_shape_are_refused(cached, monkeypatch):
    name, home, _, _ = cached
    monkeypatch.setitem(openml.ROWS, name, (7, 3))
    with pytest.raises(ValueError, match=rf"{name} from .* has the shape \(9, .*needed: \(10, "):
        FETCH[name][0](data_home=home)


@pytest.mark.parametrize("cache", [True, False])
def test_whether_to_keep_what_was_fetched_is_passed_on(cached, monkeypatch, cache):
    name, home, _, _ = cached
    fetch, seen = sklearn.datasets.fetch_openml, []

    def spied(*args, **params):
        seen.append((params["cache"], params["data_home"]))
        return fetch(*args, **params | {"cache": True})

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", spied)
    FETCH[name][0](data_home=home, cache=cache)
    assert seen == [(cache, home)]


def test_labels_may_be_quoted(cached):
    name, home, rows, labels = cached
    fill_cache(home, name, rows, [f"'{label}'" for label in labels])
    assert FETCH[name][0](data_home=home).target.tolist() == labels[:6].tolist()


@pytest.mark.parametrize(
    ("pixel", "label", "problem"),
    [
        (256, 0, "pixels that are not integers from 0 to 255"),
        (-1, 0, "pixels"),
        (0.5, 0, "pixels"),
        ("?", 0, "pixels"),
        (0, 10, "labels that are not integers from 0 to 9"),
        (0, -1, "labels"),
        (0, "cat", "labels"),
    ],
)
def test_values_that_are_no_bytes_or_no_classes_are_refused(
    tmp_path, monkeypatch, pixel, label, problem
):
    rows = np.zeros((4, 784), object)
    rows[2, 5] = pixel
    monkeypatch.setitem(openml.ROWS, "mnist_784", (3, 1))
    fill_cache(tmp_path, "mnist_784", rows, [1, 2, label, 3])
    with pytest.raises(ValueError, match=f"mnist_784: holds {problem}"):
        fetch_mnist(data_home=tmp_path)


@pytest.mark.parametrize("name", FETCH)
@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.filterwarnings("ignore:A network error occurred")
def test_error_of_the_network_comes_with_a_hint(tmp_path, name, cache):
    with pytest.raises(URLError, match="there is no network") as caught:
        FETCH[name][0](data_home=tmp_path, cache=cache, n_retries=1, delay=0.001)
    assert f"{name} could not be fetched" in caught.value.__notes__[0]
    assert "load_mnist" in caught.value.__notes__[0]


def test_network_is_tried_as_often_as_is_said(tmp_path):
    with (
        pytest.warns(UserWarning, match="A network error occurred") as warned,
        pytest.raises(URLError),
    ):
        fetch_mnist(data_home=tmp_path, n_retries=4, delay=0.001)
    assert len(warned) == 4


@pytest.mark.parametrize("fetch", [fetch_mnist, fetch_fashion_mnist, fetch_cifar10])
def test_unknown_part_is_refused_before_anything_is_fetched(fetch):
    with pytest.raises(ValueError, match="split='validation'; needed"):
        fetch(split="validation")
