"""Model files that are damaged, or whose fields say what no fit could have: an error, always."""

from pathlib import Path

import numpy as np
import pytest

import sknpcnn
from sknpcnn._storage import storage
from tests.saving.model_files import assert_same_attributes, small


@pytest.fixture
def file(data, tmp_path):
    path = tmp_path / "model.npz"
    params = {"warm_start": True, "conv_filters": (2,), "layers": None, "batch_norm": True}
    sknpcnn.save(small(**params).fit(*data), path)
    return path


def loaded(file):
    """Load a file; None where it is refused in the way that is documented."""
    try:
        return sknpcnn.load(file)
    except ValueError as refused:
        return None if str(file) in str(refused) else pytest.fail(f"no file is named: {refused}")


@pytest.mark.thread_unsafe(reason="all write the same file")
def test_a_byte_that_is_wrong_is_an_error_or_does_no_harm(data, file):
    content = bytearray(file.read_bytes())
    whole = sknpcnn.load(file)
    rng = np.random.default_rng(0)
    # every byte of the archive's own records matters most; they are at the end
    places = {*rng.integers(0, len(content), 400), *range(len(content) - 600, len(content))}
    harmless = 0
    for place in places:
        before = content[place]
        content[place] ^= int(rng.integers(1, 256))
        file.write_bytes(content)
        content[place] = before
        found = loaded(file)
        if found is not None:
            harmless += 1
            assert_same_attributes(found, whole)
    assert harmless < len(places) / 2


def test_a_file_that_is_cut_short_is_an_error(file):
    content = file.read_bytes()
    for length in {*range(200), *range(0, len(content), 97)}:
        file.write_bytes(content[:length])
        with pytest.raises(ValueError, match="is not an intact file"):
            sknpcnn.load(file)


WRONG = {
    "parameter left out": lambda v, a: v["params"].pop("alpha"),
    "negative samples": lambda v, a: v["fitted"].update(t_=-5),
    "another activation": lambda v, a: v["fitted"].update(out_activation_="tanh"),
    "another curve": lambda v, a: v["fitted"].update(loss_curve_={"list": [1.0]}),
    "curve of words": lambda v, a: v["fitted"].update(loss_curve_={"list": ["a", "b"]}),
    "another loss": lambda v, a: v["fitted"].update(loss_=float("nan")),
    "another best loss": lambda v, a: v["fitted"].update(best_loss_=-1.0),
    "scores of no validation": lambda v, a: v["fitted"].update(validation_scores_={"list": [0.5]}),
    "odd rows": lambda v, a: v["fitted"].update(_history={"list": [{"dict": [["a", 1.0]]}] * 2}),
    "rows of words": lambda v, a: v["fitted"]["_history"]["list"][0]["dict"][0].__setitem__(1, "a"),
    "loss of another estimator": lambda v, a: v["params"].update(loss="squared_error"),
    "seed below zero": lambda v, a: v["progress"].update(seed=-1),
    "enormous seed": lambda v, a: v["progress"].update(seed=10**40),
    "epoch below zero": lambda v, a: v["progress"].update(epoch=-7),
    "step below zero": lambda v, a: v["progress"].update(step=-1),
    "curve of nothing": lambda v, a: v["progress"].update(curve={"list": [float("inf")]}),
    "rule that is none": lambda v, a: v["progress"].update(rule="Conv2D"),
    "memory missing": lambda v, a: a.pop("memory.squares"),
    "memory misnamed": lambda v, a: a.update({"memory.other": a["memory.squares"]}),
    "memory in double": lambda v, a: a.update({"memory.total": a["memory.total"].astype("f4")}),
    "memory of nothing": lambda v, a: v.pop("progress"),
    "scale of zero": lambda v, a: a.update(scale=0 * a["scale"]),
    "negative scale": lambda v, a: a.update(scale=-a["scale"]),
    "scale missing": lambda v, a: a.pop("scale"),
    "mean missing": lambda v, a: a.pop("mean"),
    "negative variance": lambda v, a: a.update(theta=-abs(a["theta"])),
    "unsorted classes": lambda v, a: a.update(classes_=a["classes_"][::-1].copy()),
    "complex classes": lambda v, a: a.update(classes_=a["classes_"] + 0j),
    "nan among classes": lambda v, a: a.update(classes_=np.r_[a["classes_"][:-1], np.nan]),
    "bytes for classes": lambda v, a: a.update(classes_=a["classes_"].view("S8")),
    "format": lambda v, a: v.update(format="another"),
    "version": lambda v, a: v.update(version=6),
    "no parameters": lambda v, a: v.pop("params"),
    "unknown parameter": lambda v, a: v["params"].update(colour=1),
    "bad parameter": lambda v, a: v["params"].update(alpha=-1),
    "bad combination": lambda v, a: v["params"].update(hidden_layer_sizes=5, layers={"list": []}),
    "unknown layer": lambda v, a: v["params"].update(solver={"spec": "os", "fields": {}}),
    "an abstract one": lambda v, a: v["params"].update(solver={"spec": "Optimizer", "fields": {}}),
    "bad fields": lambda v, a: v["params"].update(
        solver={"spec": "SGD", "fields": {"momentum": 2.0}}
    ),
    "bad kind": lambda v, a: v["params"].update(solver={"eval": "1"}),
    "bare list": lambda v, a: v["params"].update(solver=[1]),
    "missing attribute": lambda v, a: v["fitted"].pop("t_"),
    "attribute of another type": lambda v, a: v["fitted"].update(t_="many"),
    "image that is none": lambda v, a: v["fitted"].update(image_shape_={"tuple": [8, 8]}),
    "negative image": lambda v, a: v["fitted"].update(image_shape_={"tuple": [-8, -8, 1]}),
    "other features": lambda v, a: v["fitted"].update(n_features_in_=63),
    "architecture": lambda v, a: v["fitted"]["_architecture"]["dict"].pop(),
    "history": lambda v, a: v["fitted"]["_history"]["list"].pop(),
    "no parameters of the network": lambda v, a: a.pop("theta"),
    "too few": lambda v, a: a.update(theta=a["theta"][:-1]),
    "not finite": lambda v, a: a.update(theta=a["theta"] * np.nan),
    "half precision": lambda v, a: a.update(theta=a["theta"].astype(np.float16)),
    "whole numbers": lambda v, a: a.update(theta=a["theta"].astype(np.int32)),
    "a class twice": lambda v, a: a.update(classes_=np.zeros(10)),
    "no classes": lambda v, a: a.pop("classes_"),
    "classes in a table": lambda v, a: a.update(classes_=np.eye(10)),
    "scale": lambda v, a: a.pop("scale"),
    "memory": lambda v, a: a.update({"memory.mean": a["theta"][:3]}),
    "rule": lambda v, a: v["progress"].update(rule="Unknown"),
    "progress": lambda v, a: v["progress"].pop("seed"),
}


@pytest.mark.parametrize("spoil", WRONG.values(), ids=WRONG)
def test_every_field_is_checked(file, spoil):
    values, arrays = storage.read(file)
    spoil(values, arrays)
    storage.write(file, values, arrays)
    with pytest.raises(ValueError, match=r"model\.npz: ") as caught:
        sknpcnn.load(file)
    assert type(caught.value) is ValueError


def test_a_file_with_pickled_objects_is_refused(file, tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    _, arrays = storage.read(file)
    objects = {**arrays, "classes_": np.array([Trap()], dtype=object)}
    np.savez(file, **{"values.json": np.zeros(1)}, **objects)
    with pytest.raises(ValueError, match="is not an intact file"):
        sknpcnn.load(file)
    assert not (tmp_path / "sprung").exists()


def test_a_file_that_promises_too_much_is_refused(file, tmp_path):
    import zipfile

    bomb = tmp_path / "bomb.npz"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("values.json", "{}")
        archive.writestr("theta.npy", bytes(10**8))
    with pytest.raises(ValueError, match="stored in an unsupported way"):
        sknpcnn.load(bomb)


def test_a_file_that_is_not_there_is_the_usual_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        sknpcnn.load(tmp_path / "nowhere.npz")
