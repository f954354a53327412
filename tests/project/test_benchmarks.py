"""The benchmarks compare like with like; how fast either is, is no matter of a test."""

import numpy as np
import pytest

from benchmarks import networks

NAMES = list(networks.NETWORKS)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_network_computes_what_its_copy_in_pytorch_does(name):
    pytest.importorskip("torch")
    from benchmarks import agreement

    agreement.check(name, n=4)


@pytest.mark.parametrize("name", ["A", "F"])  # a dense layer on an image; batch norm
def test_parameters_come_back_from_pytorch_as_they_went(name):
    pytest.importorskip("torch")
    from benchmarks import torch_networks

    network = networks.network(name)
    theta = networks.parameters(network)
    module = torch_networks.module_of(network, theta)
    returned = torch_networks.arrays_of(network, module)
    for array, values in network.layout.arrays(theta):
        np.testing.assert_array_equal(returned[array], values, err_msg=array)


@pytest.mark.parametrize("name", NAMES)
def test_network_predicts_what_its_graph_in_onnxruntime_does(name):
    pytest.importorskip("onnxruntime")
    from benchmarks import against_onnxruntime, ours

    network = networks.network(name)
    X, _ = networks.data(network.image, 5)
    clf = ours.fitted(name, 1, networks.parameters(network))
    session = against_onnxruntime.session_of(clf, threads=1)
    (found,) = session.run(["probabilities"], {"X": X})
    np.testing.assert_allclose(clf.predict_proba(X), found, rtol=1e-4)
