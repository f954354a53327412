"""Makes estimators fitted whose weights come from elsewhere."""

from collections.abc import Mapping
from math import nan, prod

import numpy as np

from sknpcnn._estimator import blocks, fitted
from sknpcnn._estimator.constraints import check_combinations
from sknpcnn._estimator.layout import Image
from sknpcnn._estimator.protocol import Estimator
from sknpcnn._network.batches import Array
from sknpcnn._network.network import Network
from sknpcnn._training.fit import Forgotten
from sknpcnn._training.targets import Target
from sknpcnn.losses import Loss


def publish_given(
    estimator: Estimator,
    image: Image,
    target: Target,
    loss: str | Loss,
    weights: Mapping[str, Array],
) -> None:
    """Set the fitted attributes of an estimator with ``layers``, as if it had not been trained yet.

    ``weights`` must hold all arrays of the network, by name.
    """
    estimator._validate_params()
    check_combinations(estimator.get_params(deep=False))
    architecture = fitted.architecture_of(estimator, image, table=False, resumes=False)
    network = Network(blocks.build_layers(architecture, image), image, target.n_outputs)
    missing = [name for name in network.layout.parameters if name not in weights]
    if missing:
        raise ValueError(f"weights lacks {', '.join(missing)}.")
    theta = fitted.with_weights(network, network.layout.start(0, np.float32), weights)
    attributes = {
        **target.attributes(),
        "n_features_in_": prod(image),
        "_sample_shape": image[:2] if image[2] == 1 else image,
        "image_shape_": image,
        "n_iter_": 0,
        "t_": 0,
        "n_layers_": len(network.summary()),
        "loss_": nan,
        "best_loss_": nan,
        "loss_curve_": [],
        "validation_scores_": None,
        "_theta": theta,
        "_standard": None,
        "_architecture": architecture,
        "_loss": loss,
        "_history": [],
        "_forgotten": tuple(Forgotten()),
        "_seen": (),
        "_progress": None,
    }
    fitted.publish(estimator, attributes)
