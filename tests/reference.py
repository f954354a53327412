"""The executable specification: what every layer computes, in loops that are plainly right.

Images are ordinary ``(n, h, w, c)`` arrays here, vectors ``(n, features)``.
"""

import math

import numpy as np


def pair(value):
    return (value, value) if isinstance(value, (int, np.integer)) else tuple(value)


def span(length, window, stride, dilation, padding):
    """Return how many pixels of padding precede an axis, and how many positions a window has."""
    reach = dilation * (window - 1) + 1
    if padding == "same":  # TensorFlow's rule
        outputs = math.ceil(length / stride)
        return max((outputs - 1) * stride + reach - length, 0) // 2, outputs
    pixels = 0 if padding == "valid" else padding
    return pixels, (length + 2 * pixels - reach) // stride + 1


def windows(shape, window, stride, dilation, padding):
    """List, for every output pixel (p, q), the pixels (i, j, r, s) that its window covers.

    ``(i, j)`` is the position within the window, in row-major order; ``(r, s)`` the pixel of the
    image. Pixels outside the image are left out.
    """
    height, width = shape
    (kh, kw), (sh, sw), (dh, dw) = pair(window), pair(stride), pair(dilation)
    vertical, horizontal = (padding, padding) if isinstance(padding, str) else pair(padding)
    top, rows = span(height, kh, sh, dh, vertical)
    left, columns = span(width, kw, sw, dw, horizontal)
    found = {}
    for p in range(rows):
        for q in range(columns):
            found[p, q] = []
            for i in range(kh):
                for j in range(kw):
                    r, s = p * sh + i * dh - top, q * sw + j * dw - left
                    if 0 <= r < height and 0 <= s < width:
                        found[p, q].append((i, j, r, s))
    return found, (rows, columns)


def conv2d(x, W, b=None, stride=1, padding="same", dilation=1):
    """Convolve x (n, h, w, c) with W (kh, kw, c, filters); b is (filters,) or one per pixel."""
    found, (rows, columns) = windows(x.shape[1:3], W.shape[:2], stride, dilation, padding)
    y = np.zeros((len(x), rows, columns, W.shape[3]))
    for (p, q), pixels in found.items():
        for i, j, r, s in pixels:
            y[:, p, q] += x[:, r, s] @ W[i, j]
    return y if b is None else y + b


def conv2d_gradients(x, W, dy, stride=1, padding="same", dilation=1):
    """Return the gradients of x, of W, of a bias per filter and of a bias per pixel."""
    found, _ = windows(x.shape[1:3], W.shape[:2], stride, dilation, padding)
    dx, dW = np.zeros_like(x), np.zeros_like(W)
    for (p, q), pixels in found.items():
        for i, j, r, s in pixels:
            dx[:, r, s] += dy[:, p, q] @ W[i, j].T
            dW[i, j] += x[:, r, s].T @ dy[:, p, q]
    return dx, dW, dy.sum(axis=(0, 1, 2)), dy.sum(axis=0)


def max_pool(x, size, stride=None, padding="valid"):
    """Return the maxima and the pixel (r, s) that each came from: the first one in ties."""
    found, (rows, columns) = windows(
        x.shape[1:3], size, size if stride is None else stride, 1, padding
    )
    n, _, _, c = x.shape
    y, winners = np.empty((n, rows, columns, c)), {}
    for (p, q), pixels in found.items():
        for sample in range(n):
            for channel in range(c):
                best = None
                for _, _, r, s in pixels:
                    if best is None or x[sample, r, s, channel] > x[sample, *best, channel]:
                        best = r, s
                y[sample, p, q, channel] = x[sample, *best, channel]
                winners[sample, p, q, channel] = best
    return y, winners


def max_pool_gradient(x, dy, size, stride=None, padding="valid"):
    dx = np.zeros_like(x)
    for (sample, p, q, channel), (r, s) in max_pool(x, size, stride, padding)[1].items():
        dx[sample, r, s, channel] += dy[sample, p, q, channel]
    return dx


def avg_pool(x, size, stride=None, padding="valid"):
    """Average every window over the pixels that lie inside the image."""
    found, (rows, columns) = windows(
        x.shape[1:3], size, size if stride is None else stride, 1, padding
    )
    y = np.empty((len(x), rows, columns, x.shape[3]))
    for (p, q), pixels in found.items():
        y[:, p, q] = sum(x[:, r, s] for _, _, r, s in pixels) / len(pixels)
    return y


def avg_pool_gradient(x, dy, size, stride=None, padding="valid"):
    found, _ = windows(x.shape[1:3], size, size if stride is None else stride, 1, padding)
    dx = np.zeros_like(x)
    for (p, q), pixels in found.items():
        for _, _, r, s in pixels:
            dx[:, r, s] += dy[:, p, q] / len(pixels)
    return dx


def global_avg_pool(x):
    n, h, w, c = x.shape
    y = np.zeros((n, c))
    for r in range(h):
        for s in range(w):
            y += x[:, r, s] / (h * w)
    return y


def global_avg_pool_gradient(x, dy):
    _, h, w, _ = x.shape
    dx = np.empty_like(x)
    for r in range(h):
        for s in range(w):
            dx[:, r, s] = dy / (h * w)
    return dx


def dense(x, W, b=None):
    y = np.zeros((len(x), W.shape[1]))
    for i in range(W.shape[0]):
        for j in range(W.shape[1]):
            y[:, j] += x[:, i] * W[i, j]
    return y if b is None else y + b


def dense_gradients(x, W, dy):
    """Return the gradients of x, of W and of the bias."""
    dx, dW = np.zeros_like(x), np.zeros_like(W)
    for i in range(W.shape[0]):
        for j in range(W.shape[1]):
            dx[:, i] += dy[:, j] * W[i, j]
            dW[i, j] = np.sum(x[:, i] * dy[:, j])
    return dx, dW, dy.sum(axis=0)


def flatten(x):
    n, h, w, c = x.shape
    y = np.empty((n, h * w * c))
    for r in range(h):
        for s in range(w):
            for channel in range(c):
                y[:, (r * w + s) * c + channel] = x[:, r, s, channel]
    return y


def flatten_gradient(x, dy):
    _, h, w, c = x.shape
    dx = np.empty_like(x)
    for r in range(h):
        for s in range(w):
            for channel in range(c):
                dx[:, r, s, channel] = dy[:, (r * w + s) * c + channel]
    return dx


def batch_moments(x, weights=None):
    """Mean and variance of each channel; a sample of weight two counts as two."""
    weights = np.ones(len(x)) if weights is None else weights
    pixels = math.prod(x.shape[1:-1])
    total = weights.sum() * pixels
    mean = sum(w * xi.reshape(pixels, -1).sum(axis=0) for w, xi in zip(weights, x, strict=True))
    mean = mean / total
    squares = [((xi - mean) ** 2).reshape(pixels, -1).sum(axis=0) for xi in x]
    return mean, sum(w * s for w, s in zip(weights, squares, strict=True)) / total


def batch_norm(x, gamma, beta, mean, var, epsilon):
    """Normalize with the given moments: those of the batch, or running ones in prediction."""
    return gamma * (x - mean) / np.sqrt(var + epsilon) + beta


def batch_norm_gradients(x, dy, gamma, mean, var, epsilon, weights=None, constant=False):
    """Return the gradients of x, gamma and beta, by the chain rule through mean and variance.

    ``constant`` says that mean and variance do not depend on x: running averages.
    """
    axes = tuple(range(x.ndim - 1))
    std = np.sqrt(var + epsilon)
    d_normed = dy * gamma
    d_gamma, d_beta = (dy * (x - mean) / std).sum(axis=axes), dy.sum(axis=axes)
    if constant:
        return d_normed / std, d_gamma, d_beta
    weights = np.ones(len(x)) if weights is None else weights
    share = weights.reshape((-1,) + (1,) * (x.ndim - 1)) * np.ones(x.shape)
    share /= share.sum(axis=axes)  # of one element in the mean of its channel
    d_var = -0.5 * (d_normed * (x - mean)).sum(axis=axes) / std**3
    d_mean = -d_normed.sum(axis=axes) / std - 2 * d_var * (share * (x - mean)).sum(axis=axes)
    return d_normed / std + share * (d_var * 2 * (x - mean) + d_mean), d_gamma, d_beta


def sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def normal_cdf(x):
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def normal_pdf(x):
    return math.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


# Each activation with its derivative: functions of an element, and of the layer's parameter.
ACTIVATIONS = {
    "Identity": (lambda x: x, lambda x: 1.0),
    "ReLU": (lambda x: x if x > 0 else 0.0, lambda x: 1.0 if x > 0 else 0.0),
    "LeakyReLU": (
        lambda x, slope: x if x > 0 else slope * x,
        lambda x, slope: 1.0 if x > 0 else slope,
    ),
    "ELU": (
        lambda x, scale: x if x > 0 else scale * math.expm1(x),
        lambda x, scale: 1.0 if x > 0 else scale * math.exp(x),
    ),
    "GELU": (lambda x: x * normal_cdf(x), lambda x: normal_cdf(x) + x * normal_pdf(x)),
    "SiLU": (
        lambda x: x * sigmoid(x),
        lambda x: sigmoid(x) * (1 + x * (1 - sigmoid(x))),
    ),
    "Tanh": (math.tanh, lambda x: 1 - math.tanh(x) ** 2),
    "Sigmoid": (sigmoid, lambda x: sigmoid(x) * (1 - sigmoid(x))),
}


def apply(function, x, **parameters):
    """Apply a scalar function to every element."""
    return np.array([function(v, **parameters) for v in x.ravel().tolist()]).reshape(x.shape)


def softmax_cross_entropy(logits, classes, weights=None, label_smoothing=0.0):
    """Return the weighted sum of the losses, and the gradient of their weighted mean."""
    n, k = logits.shape
    weights = np.ones(n) if weights is None else weights
    total, gradient = 0.0, np.empty((n, k))
    for row in range(n):
        powers = [math.exp(z - max(logits[row])) for z in logits[row]]
        for j in range(k):
            p = powers[j] / sum(powers)
            target = label_smoothing / k + (1 - label_smoothing) * (j == classes[row])
            total -= weights[row] * target * math.log(p)
            gradient[row, j] = weights[row] / sum(weights) * (p - target)
    return total, gradient
