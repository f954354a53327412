"""A depthwise convolution next to PyTorch's: ``python -m benchmarks.depthwise``.

Forward and backward of one layer, 3x3, on one thread, taking turns with PyTorch in both layouts.
"""

import argparse

import numpy as np
import torch
from torch.nn import functional

from sknpcnn._engine.context import MiniBatch, backward, forward
from sknpcnn._engine.engine import Engine
from sknpcnn._engine.parallel import whole_batch
from sknpcnn._engine.plan import plan
from sknpcnn._network.parameters import Layout
from sknpcnn.layers import Conv2D
from sknpcnn.layers.steps import parameters

from . import timing

LAYOUTS = {"default": torch.contiguous_format, "channels_last": torch.channels_last}


def measure(channels: int, side: int, n: int, stride: int, rounds: int) -> dict[str, float]:
    """Time both, and compute the ratio of PyTorch's faster layout to ours."""
    rng = np.random.default_rng(0)
    layer = Conv2D(channels, stride=stride, padding=1, groups=channels, bias=False)
    steps, shape = [("layer", layer)], (side, side, channels)
    layout = Layout(parameters(steps, shape))
    theta = layout.start(0, np.float32)
    x = rng.standard_normal((side, side, n, channels), np.float32)
    rows, columns, _ = layer.output_shape(shape)
    dy = rng.standard_normal((rows, columns, n, channels), np.float32)
    planned = plan(steps, shape, training=True, needs_dx=True)
    params, grads = layout.views(theta), layout.views(np.zeros_like(theta))
    with Engine(1, np.float32) as engine:

        def ours() -> None:
            place = whole_batch(engine, MiniBatch(n, True, 1, None))
            _, cache = forward(planned, params, x, place)
            backward(planned, params, cache, dy, grads, place)

        turns = {"ours": ours}
        W = torch.tensor(params["layer"]["W"].transpose(3, 2, 0, 1).copy(), requires_grad=True)
        for name, memory in LAYOUTS.items():
            images, slopes = (
                torch.tensor(a.transpose(2, 3, 0, 1).copy()).contiguous(memory_format=memory)
                for a in (x, dy)
            )
            turns[name] = _torch_step(images.requires_grad_(), W, slopes, stride, channels)
        times = timing.repeats(ours)
        found = timing.medians(
            timing.alternate({k: timing.repeated(t, times) for k, t in turns.items()}, rounds)
        )
    theirs = min(found[name] for name in LAYOUTS)
    return {"ours": found["ours"], "theirs": theirs, "ratio": found["ours"] / theirs}


def _torch_step(images, W, slopes, stride, channels):
    def step() -> None:
        images.grad = W.grad = None
        functional.conv2d(images, W, None, stride, 1, 1, channels).backward(slopes)

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print("| channels | image | images | stride | ours, ms | PyTorch, ms | ratio of times |")
    print("| ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    for channels, side, n, stride in (
        (64, 32, 8, 1),
        (64, 32, 64, 1),
        (64, 32, 64, 2),
        (128, 16, 64, 1),
        (32, 112, 8, 1),
        (512, 7, 64, 1),
    ):
        row = measure(channels, side, n, stride, rounds)
        print(
            f"| {channels} | {side}x{side} | {n} | {stride} | {1e3 * row['ours']:.2f} | "
            f"{1e3 * row['theirs']:.2f} | {row['ratio']:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
