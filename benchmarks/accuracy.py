"""Rounding errors of the fast convolution algorithms: ``python -m benchmarks.accuracy``.

Every algorithm in single precision against the direct one in double precision: the largest error of
the output, of the input's gradient and of the kernel's gradient, relative to the largest value.
"""

import numpy as np

from sknpcnn._kernels import convolution, planes, rows, winograd
from sknpcnn._kernels.windows import Window

SIZE = (32, 32)
SHAPES = [(3, 16, 16), (3, 64, 64), (3, 128, 256), (5, 32, 32), (5, 32, 64), (5, 64, 64)]


def errors(kernel: int, channels: int, filters: int, n: int = 8) -> dict[str, list[float]]:
    """Measure the errors of all algorithms; inputs are rectified, as those of most layers are."""
    rng = np.random.default_rng(0)
    x = np.maximum(rng.normal(size=(*SIZE, n, channels)), 0)
    W = rng.normal(size=(kernel, kernel, channels, filters))
    dy = rng.normal(size=(*SIZE, n, filters))
    border = (kernel // 2, kernel // 2)
    window = Window((kernel, kernel), (1, 1), (1, 1), (border, border), SIZE)
    exact = _results(rows, x, W, dy, window)
    single = [array.astype(np.float32) for array in (x, W, dy)]
    return {
        algorithm.__name__.split(".")[-1]: [
            float(np.abs(a - b).max() / np.abs(b).max())
            for a, b in zip(_results(algorithm, *single, window), exact, strict=True)
        ]
        for algorithm in (rows, planes, winograd)
    }


def _results(algorithm, x, W, dy, window):
    y = algorithm.correlate(x, algorithm.prepare(W, window), window)
    dx = algorithm.correlate(dy, algorithm.prepare(convolution.flip_kernel(W), window), window)
    dW = np.empty_like(W)
    algorithm.kernel_gradient(x, dy, window, dW)
    return y, dx, dW


def table() -> str:
    """Lay the errors out in Markdown."""
    lines = [
        "| kernel | channels | algorithm | y | dx | dW |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for kernel, channels, filters in SHAPES:
        for algorithm, (y, dx, dW) in errors(kernel, channels, filters).items():
            numbers = f"{y:.1e} | {dx:.1e} | {dW:.1e}"
            lines.append(
                f"| {kernel}x{kernel} | {channels} to {filters} | {algorithm} | {numbers} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
