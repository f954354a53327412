"""The fingerprint that finds the checkpoint of a fit: a hash of all that the fit depends on.

A result depends, apart from the machine, on

* the version of this package: a model affected by a bug must not be reused once that is fixed;
* the classifier's class and parameters, without those that change no bit (``WITHOUT_EFFECT``);
* the data: pixels, labels, weights, the validation samples, the shape of an image, and whether they
  are images at all or a table;
* the initial state: the seed; or, in a resumed fit, parameters, optimizer state, history, and the
  standardization of the input.

Two fits share a fingerprint only if all of this is equal, types included: ``[2, 1]`` is not
``(2, 1)``. Values that cannot be described faithfully have no fingerprint; ``described`` raises
``IndescribableError``. ``sknpcnn._training.description`` says how single values are described.
"""

from hashlib import blake2b
from typing import Any

import numpy as np

from sknpcnn import version
from sknpcnn._engine.chunks import BLOCK
from sknpcnn._network.samples import Samples
from sknpcnn._training.description import IndescribableError, described

# Parameters that do not affect the result; instead of random_state, the seed is hashed.
WITHOUT_EFFECT = {"n_jobs", "verbose", "checkpoint_dir", "warm_start", "random_state"}


def fingerprint(
    kind: type, params: dict[str, Any], target: dict[str, Any], data: bytes, *start: Any
) -> str:
    """Hash all that the result of a fit depends on; a ValueError names what cannot be described."""
    digest = blake2b(digest_size=16)
    what: dict[str, Any] = {"version": version.__version__, "class": kind} | params
    if type(what.get("class_weight")) is dict:  # its order makes no difference
        what["class_weight"] = {"dict": frozenset(what["class_weight"].items())}
    what |= {"target": target, "start": start}
    for name in sorted(set(what) - WITHOUT_EFFECT):
        try:
            digest.update(f"{name}: {described(what[name])}\n".encode())
        except IndescribableError as reason:
            raise ValueError(
                f"checkpoint_dir needs to recognize a fit, but {name} holds {reason}. Remove that, "
                "put it into a module that can be imported, or set checkpoint_dir=None."
            ) from None
    digest.update(data)
    return digest.hexdigest()


def data_digest(samples: list[Samples | None]) -> bytes:
    """Hash the data of a fit block by block."""
    digest: Any = blake2b(digest_size=16)
    for some in samples:
        if some is None:
            digest.update(b"none")
            continue
        X = some.X
        digest.update(f"{X.dtype.str} {X.shape}".encode())
        rows = max(BLOCK // X.shape[1], 1)
        for start in range(0, len(X), rows):
            digest.update(np.ascontiguousarray(X[start : start + rows]))
        for array in (some.targets, some.weights, some.index):
            digest.update(b"none" if array is None else np.ascontiguousarray(array))
    content: bytes = digest.digest()
    return content
