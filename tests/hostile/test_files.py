"""Model files made by somebody who means harm: an error, soon, and in little memory."""

import json
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

import sknpcnn
from sknpcnn import NumpyCNNClassifier, NumpyCNNRegressor, saving
from sknpcnn._storage import storage
from sknpcnn.layers import ReLU
from sknpcnn.saving import network, rebuilding
from tests.estimator.private import progress_of
from tests.fuzz import archives
from tests.saving.model_files import X, content, members, refused, y


@pytest.fixture
def whole(tmp_path):
    return content(tmp_path, warm_start=True)


# Values


def with_value(whole, text):
    """An archive one of whose values is this text."""
    values, arrays = whole
    spoiled = json.dumps(values).replace('"max_iter": 1', f'"max_iter": {text}')
    return archives.archive(members(spoiled, arrays))


TEXTS = {
    "a name twice": ('{"list": [], "list": []}', "names a value twice"),
    "a parameter twice": ('1, "max_iter": 2', "names a value twice"),
    "deep lists": ("[" * 10**4 + "]" * 10**4, "nested too deeply"),
    "deep lists without an end": ("[" * 10**6, "too much memory"),
    "deep values": ('{"list": [' * 250 + "]}" * 250, "nested too deeply"),
    "deep layers": (
        '{"spec": "Residual", "fields": {"layers": {"list": [' * 51 + "]}}}" * 51,
        "needed: 32 levels at most",
    ),
    "many digits": ("1" * 10**6, "has 1000000 digits"),
    "a string that holds brackets": ('"' + "[" * 10**4 + '"', "must be an int"),
    "a string without an end": ('"' + '\\"' * 10**5, "is not an intact file"),
    "no text": ("\x7f", "is not an intact file"),
    "an empty value": ("{}", "has no kind"),
    "a string for a list": ('{"list": "ab"}', "a list is invalid"),
    "a string for a pair": ('{"dict": ["ab"]}', "a dict is invalid"),
    "a key twice": ('{"dict": [[1, 2], [1, 3]]}', "the key 1 twice"),
    "a tuple for a key": ('{"dict": [[{"tuple": [1]}, 2]]}', "a key is a tuple"),
    "a key that is too large": (f'{{"dict": [[{2**61 - 1}, 2]]}}', "too large an integer"),
    "an iterator": ("1e400", "must be an int"),
}


@pytest.mark.parametrize(("text", "reason"), TEXTS.values(), ids=TEXTS)
def test_values_that_no_model_has_are_refused(whole, tmp_path, text, reason):
    found = refused(tmp_path / "model.npz", with_value(whole, text))
    assert reason in found
    assert len(found) < 2 * saving.network.MAX_SHOWN


COUNTS = {
    "epoch": lambda v: v["progress"].update(epoch=2**64),
    "epoch of a negative": lambda v: v["progress"].update(epoch=-1),
    "step": lambda v: v["progress"].update(step=2**53),
    "seed": lambda v: v["progress"].update(seed=2**31),
    "samples": lambda v: v["fitted"].update(t_=2**53),
    "an image": lambda v: v["fitted"].update(
        image_shape_={"tuple": [2**40, 1, 2]}, n_features_in_=2**41
    ),
    "labels of another type": lambda v: v.update(classes_=[1, 2]),
    "labels twice": lambda v: v.update(classes_=["a", "a"]),
    "labels that are no list": lambda v: v.update(classes_={"a": 1}),
    "an architecture that is none": lambda v: change(v, "batch_norm", "yes"),
    "a dropout of words": lambda v: change(v, "dropout", "0.5"),
    "something else": lambda v: v.update(callbacks=1),
}


def change(values, name, value):
    for pair in values["fitted"]["_architecture"]["dict"]:
        if pair[0] == name:
            pair[1] = value


@pytest.mark.parametrize("spoil", COUNTS.values(), ids=COUNTS)
def test_numbers_that_would_fail_later_are_refused(whole, tmp_path, spoil):
    values, arrays = whole
    spoil(values)
    if "classes_" in values:
        del arrays["classes_"]
    spoiled = archives.archive(members(values, arrays))
    assert "does not hold a valid model" in refused(tmp_path / "model.npz", spoiled)


FOREIGN = {
    "classes of a regressor": (NumpyCNNRegressor, "classes_", np.arange(2)),
    "scale of a classifier": (NumpyCNNClassifier, "target_scale_", np.ones(())),
    "mean of a classifier": (NumpyCNNClassifier, "target_mean_", np.zeros(())),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_a_model_of_this_kind_does_not_have_is_refused(tmp_path, kind):
    make, name, array = FOREIGN[kind]
    path = tmp_path / "model.npz"
    sknpcnn.save(make(conv_filters=(2,), max_iter=1).fit(X, y), path)
    values, arrays = storage.read(path)
    told = f"it holds ['{name}'], which a model of its loss does not have"
    assert told in refused(path, archives.archive(members(values, arrays | {name: array})))
    if name == "classes_":
        labels = {name: ["a", "b"]}
        assert told in refused(path, archives.archive(members(values | labels, arrays)))


@pytest.mark.parametrize("name", ["epoch", "step"])
def test_the_largest_counts_can_be_resumed_from(whole, tmp_path, name):
    values, arrays = whole
    values["progress"][name] = rebuilding.MAX_COUNT
    storage.write(tmp_path / "model.npz", values, arrays)
    clf = sknpcnn.load(tmp_path / "model.npz").partial_fit(X, y)
    assert progress_of(clf)[name] > rebuilding.MAX_COUNT


def test_what_a_file_says_of_the_machine_is_not_taken_over(whole, tmp_path):
    values, arrays = whole
    assert not {"checkpoint_dir", "n_jobs", "verbose"} & set(values["params"])
    elsewhere = tmp_path / "elsewhere"
    values["version"] = 1
    values["params"].update(checkpoint_dir=str(elsewhere), n_jobs=-7, verbose=100)
    storage.write(tmp_path / "model.npz", values, arrays)
    clf = sknpcnn.load(tmp_path / "model.npz")
    assert (clf.checkpoint_dir, clf.n_jobs, clf.verbose) == (None, None, 0)
    clf.fit(X, y)
    assert not elsewhere.exists()


# Time and memory


def many(values, **architecture):
    """Ask for another architecture, wherever a file says what it is."""
    for name, value in architecture.items():
        values["params"][name] = value
        change(values, name, value)


def test_a_file_of_too_many_layers_is_refused_before_any_is_made(whole, tmp_path, monkeypatch):
    values, arrays = whole
    monkeypatch.setattr(network, "Network", None)
    many(values, conv_filters={"tuple": [1] * (rebuilding.MAX_LAYERS + 1)})
    assert "conv_filters has 5001 entries" in refused(
        tmp_path / "model.npz", archives.archive(members(values, arrays))
    )
    flat = [{"spec": "ReLU", "fields": {}}] * 501
    layers = [{"spec": "Sequential", "fields": {"layers": {"list": flat}}}] * 10
    many(values, layers={"list": layers}, conv_filters={"tuple": [16, 32]})
    assert "it has 5020 layers" in refused(
        tmp_path / "model.npz", archives.archive(members(values, arrays))
    )


@pytest.mark.slow
def test_as_many_layers_as_are_allowed_are_looked_at_in_time(whole, tmp_path):
    """In a process that is ended after a minute: a hang would be an error."""
    values, arrays = whole
    many(values, conv_filters={"tuple": [1] * rebuilding.MAX_LAYERS}, kernel_size=1, pool_size=1)
    path = tmp_path / "model.npz"
    storage.write(path, values, arrays)
    assert "does not hold a valid model (theta" in in_time(path)
    inner = {"spec": "ReLU", "fields": {}}
    for i in range(30):
        kind = ("Residual", "Sequential")[i % 2]
        inner = {"spec": kind, "fields": {"layers": {"list": [inner]}}}
    defaults = {"conv_filters": "auto", "kernel_size": 3, "pool_size": 2}
    defaults |= {"residual": "auto", "global_pooling": "auto", "hidden_layer_sizes": "auto"}
    many(values, layers={"list": [inner] * 80}, **defaults)
    storage.write(path, values, arrays)
    assert "does not hold a valid model (theta" in in_time(path)


def in_time(path):
    program = (
        "import sys, sknpcnn\ntry: sknpcnn.load(sys.argv[1])\nexcept ValueError as e: print(e)"
    )
    command = [sys.executable, "-c", program, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def test_a_pipe_nobody_writes_into_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "needed: a regular file" in in_time(tmp_path / "pipe")


FILLERS = {
    "lists": "[],",
    "lists of the format": '{"list":[]},',
    "dicts": "{},",
    "dicts of one": '{"a":0},',
    "numbers": "1.5,",
    "strings": '"ab",',
    "many names": None,
    "keys": None,
}


@pytest.mark.slow
@pytest.mark.thread_unsafe(reason="memory is measured for all threads")
@pytest.mark.parametrize("filler", FILLERS)
def test_a_file_takes_at_most_ten_times_the_memory_of_an_honest_one(whole, tmp_path, filler):
    size = 2**21
    values, arrays = whole
    unit = FILLERS[filler]
    if filler == "many names":
        text = "{" + ",".join(f'"{i}":0' for i in range(size // 10)) + "}"
    elif filler == "keys":
        text = '{"dict": [' + ",".join(f"[{i << 40},0]" for i in range(size // 20)) + "]}"
    else:
        text = '{"list": [' + unit * (size // len(unit)) + "0]}"
    hostile = with_value(whole, text)
    theta = np.zeros(len(hostile) // 4, "f4")
    honest = archives.archive(members(values, arrays | {"theta": theta}))
    path = tmp_path / "model.npz"
    assert peak(path, hostile) <= 10 * peak(path, honest)


def peak(path, content):
    tracemalloc.start()
    refused(path, content)
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


def test_memory_for_an_array_is_asked_for_when_its_size_is_known(whole, tmp_path):
    """A small file that speaks of a gigabyte, wherever it does, takes no memory."""
    inside = dict(members(*whole))
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (268435456,), }\n"
    inside["theta.npy"] = archives.npy_with_header(header, bytes(160))
    told = {i: {"size": 2**30, "packed": 2**30} for i in range(len(inside))}
    path = tmp_path / "model.npz"
    for spoiled in (archives.archive(inside.items()), archives.archive(inside.items(), told)):
        assert peak(path, spoiled) < 10**6
    values, arrays = whole
    many(values, hidden_layer_sizes={"tuple": [2**20, 2**20 - 1]})
    assert peak(path, archives.archive(members(values, arrays))) < 10**6


@pytest.mark.parametrize("depth", [5, 20])
def test_layers_within_layers_are_loaded_and_predict(tmp_path, depth):
    explicit = {"layers": [ReLU()], "conv_filters": "auto", "hidden_layer_sizes": "auto"}
    values, arrays = content(tmp_path, **explicit)
    inner = {"spec": "ReLU", "fields": {}}
    for _ in range(depth):
        inner = {"spec": "Residual", "fields": {"layers": {"list": [inner]}}}
    many(values, layers={"list": [inner]})
    storage.write(tmp_path / "model.npz", values, arrays)
    assert np.isfinite(sknpcnn.load(tmp_path / "model.npz").predict_proba(X)).all()
