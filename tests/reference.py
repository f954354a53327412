"""The executable specification: what every layer computes, in loops that are plainly right.

Images are ordinary ``(n, h, w, c)`` arrays here, vectors ``(n, features)``.
"""

import math

import numpy as np


def pair(value):
    return (value, value) if isinstance(value, (int, np.integer)) else tuple(value)


def border(value):
    """Return ((top, bottom), (left, right)) of a padding; an axis of "same" stays that."""
    if isinstance(value, tuple) and len(value) == 4:
        return value[:2], value[2:]
    axes = (0, 0) if value == "valid" else (value, value) if value == "same" else pair(value)
    return tuple("same" if n == "same" else (n, n) for n in axes)


def span(length, window, stride, dilation, padding, ceil_mode=False):
    """Return how many pixels of padding precede an axis, and how many positions a window has."""
    reach = dilation * (window - 1) + 1
    if padding == "same":  # TensorFlow's rule
        outputs = math.ceil(length / stride)
        return max((outputs - 1) * stride + reach - length, 0) // 2, outputs
    before, after = padding
    if not ceil_mode:
        return before, (length + before + after - reach) // stride + 1
    outputs = math.ceil((length + before + after - reach) / stride) + 1
    return before, outputs - ((outputs - 1) * stride >= length + before)


def windows(shape, window, stride, dilation, padding, ceil_mode=False):
    """List, for every output pixel (p, q), the pixels (i, j, r, s) that its window covers.

    ``(i, j)`` is the position within the window, in row-major order; ``(r, s)`` the pixel of the
    image. Pixels outside the image are left out.
    """
    height, width = shape
    (kh, kw), (sh, sw), (dh, dw) = pair(window), pair(stride), pair(dilation)
    vertical, horizontal = border(padding)
    top, rows = span(height, kh, sh, dh, vertical, ceil_mode)
    left, columns = span(width, kw, sw, dw, horizontal, ceil_mode)
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


def group(array, groups, number, axis):
    """Return the part of an array's axis that belongs to one of so many equal groups."""
    return np.array_split(array, groups, axis)[number]


def grouped_conv2d(x, W, b, groups, **places):
    """Convolve each group of channels with its own filters; the outputs lie side by side."""
    parts = [
        conv2d(group(x, groups, g, 3), group(W, groups, g, 3), None, **places)
        for g in range(groups)
    ]
    y = np.concatenate(parts, axis=3)
    return y if b is None else y + b


def grouped_conv2d_gradients(x, W, dy, groups, **places):
    """Return what ``conv2d_gradients`` does."""
    parts = [
        conv2d_gradients(
            group(x, groups, g, 3), group(W, groups, g, 3), group(dy, groups, g, 3), **places
        )
        for g in range(groups)
    ]
    return tuple(np.concatenate(of_all, axis=-1) for of_all in zip(*parts, strict=True))


def max_pool(x, size, stride=None, padding="valid", ceil_mode=False):
    """Return the maxima and the pixel (r, s) that each came from: the first one in ties."""
    found, (rows, columns) = windows(
        x.shape[1:3], size, size if stride is None else stride, 1, padding, ceil_mode
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


def max_pool_gradient(x, dy, size, stride=None, padding="valid", ceil_mode=False):
    dx = np.zeros_like(x)
    winners = max_pool(x, size, stride, padding, ceil_mode)[1]
    for (sample, p, q, channel), (r, s) in winners.items():
        dx[sample, r, s, channel] += dy[sample, p, q, channel]
    return dx


def avg_pool(x, size, stride=None, padding="valid", count_padding=False):
    """Average every window over the pixels that lie inside the image, or over all."""
    found, (rows, columns) = windows(
        x.shape[1:3], size, size if stride is None else stride, 1, padding
    )
    y = np.empty((len(x), rows, columns, x.shape[3]))
    for (p, q), pixels in found.items():
        count = math.prod(pair(size)) if count_padding else len(pixels)
        y[:, p, q] = sum(x[:, r, s] for _, _, r, s in pixels) / count
    return y


def avg_pool_gradient(x, dy, size, stride=None, padding="valid", count_padding=False):
    found, _ = windows(x.shape[1:3], size, size if stride is None else stride, 1, padding)
    dx = np.zeros_like(x)
    for (p, q), pixels in found.items():
        count = math.prod(pair(size)) if count_padding else len(pixels)
        for _, _, r, s in pixels:
            dx[:, r, s] += dy[:, p, q] / count
    return dx


def global_max_pool(x):
    return max_pool(x, x.shape[1:3])[0][:, 0, 0]


def global_max_pool_gradient(x, dy):
    return max_pool_gradient(x, dy[:, None, None], x.shape[1:3])


def zero_pad(x, size, channels=0):
    (top, bottom), (left, right), (before, after) = *border(size), pair(channels)
    n, h, w, c = x.shape
    y = np.zeros((n, top + h + bottom, left + w + right, before + c + after))
    for r in range(h):
        for s in range(w):
            for i in range(c):
                y[:, top + r, left + s, before + i] = x[:, r, s, i]
    return y


def zero_pad_gradient(x, dy, size, channels=0):
    (top, _), (left, _), (before, _) = *border(size), pair(channels)
    dx = np.empty_like(x)
    for r in range(x.shape[1]):
        for s in range(x.shape[2]):
            for i in range(x.shape[3]):
                dx[:, r, s, i] = dy[:, top + r, left + s, before + i]
    return dx


def scale(x, dy, gamma, beta):
    """Scale and shift per channel, or per pixel and channel; also return all gradients."""
    y, dx, d_gamma, d_beta = np.empty_like(x), np.empty_like(x), 0 * gamma, 0 * beta
    for place in np.ndindex(x.shape):
        own = place[1:] if gamma.ndim > 1 else place[-1]
        y[place] = x[place] * gamma[own] + beta[own]
        dx[place] = dy[place] * gamma[own]
        d_gamma[own] += dy[place] * x[place]
        d_beta[own] += dy[place]
    return y, dx, d_gamma, d_beta


def prelu(x, slope, dy):
    """Rectify with a slope per channel; also return the gradients of x and of the slopes."""
    y, dx, d_slope = np.empty_like(x), np.empty_like(x), np.zeros_like(slope)
    for place in np.ndindex(x.shape):
        positive, c = x[place] > 0, place[-1]
        y[place] = x[place] if positive else slope[c] * x[place]
        dx[place] = dy[place] if positive else slope[c] * dy[place]
        d_slope[c] += 0 if positive else x[place] * dy[place]
    return y, dx, d_slope


def squeeze_excite(x, dy, params, hard):
    """Scale each channel by its gate; also return the gradients of x and of the parameters."""
    function, derivative = HARD_SIGMOID if hard else ACTIVATIONS["Sigmoid"]
    n, h, w, c = x.shape
    means = global_avg_pool(x)
    before = dense(means, params["W_squeeze"], params["b_squeeze"])
    hidden = np.where(before > 0, before, 0.0)
    logits = dense(hidden, params["W_excite"], params["b_excite"])
    gates = apply(function, logits)
    d_gates = np.zeros((n, c))
    for r in range(h):
        for s in range(w):
            d_gates += dy[:, r, s] * x[:, r, s]
    d_logits = d_gates * apply(derivative, logits)
    d_hidden, dW_excite, db_excite = dense_gradients(hidden, params["W_excite"], d_logits)
    d_before = np.where(before > 0, d_hidden, 0.0)
    d_means, dW_squeeze, db_squeeze = dense_gradients(means, params["W_squeeze"], d_before)
    dx = dy * gates[:, None, None] + global_avg_pool_gradient(x, d_means)
    names = "W_squeeze", "b_squeeze", "W_excite", "b_excite"
    grads = dict(zip(names, (dW_squeeze, db_squeeze, dW_excite, db_excite), strict=True))
    return x * gates[:, None, None], dx, grads


def normalized(values, gradients, epsilon):
    """Normalize a list of numbers; also return what follows from the gradients of the results."""
    n = len(values)
    mean = sum(values) / n
    deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / n + epsilon)
    results = [(v - mean) / deviation for v in values]
    level = sum(gradients) / n
    along = sum(g * y for g, y in zip(gradients, results, strict=True)) / n
    dx = [(g - level - y * along) / deviation for g, y in zip(gradients, results, strict=True)]
    return results, dx


def sample_norm(x, dy, gamma, beta, epsilon, groups):
    """Normalize each sample; each of ``groups`` lists the elements (pixel, channel) of one group.

    Return the outputs, and the gradients of x, gamma and beta.
    """
    n, channels = len(x), x.shape[-1]
    flat, flat_dy = x.reshape(n, -1, channels), dy.reshape(n, -1, channels)
    normal, dx = np.empty_like(flat), np.empty_like(flat)
    for sample in range(n):
        for group in groups:
            values = [flat[sample, p, c] for p, c in group]
            gradients = [flat_dy[sample, p, c] * gamma[c] for p, c in group]
            for (p, c), y, d in zip(group, *normalized(values, gradients, epsilon), strict=True):
                normal[sample, p, c], dx[sample, p, c] = y, d
    d_gamma, d_beta = (flat_dy * normal).sum(axis=(0, 1)), flat_dy.sum(axis=(0, 1))
    return (normal * gamma + beta).reshape(x.shape), dx.reshape(x.shape), d_gamma, d_beta


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


def normal_cdf(x, approximate=False):
    if approximate:
        return 0.5 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def normal_pdf(x, approximate=False):
    if approximate:  # the derivative of the line above
        slope = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)
        return 2 * normal_cdf(x, True) * (1 - normal_cdf(x, True)) * slope
    return math.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


HARD_SIGMOID = (
    lambda x: min(max(x + 3, 0.0), 6.0) / 6,
    lambda x: 1 / 6 if -3 < x < 3 else 0.0,
)

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
    "GELU": (
        lambda x, approximate: x * normal_cdf(x, approximate),
        lambda x, approximate: normal_cdf(x, approximate) + x * normal_pdf(x, approximate),
    ),
    "ReLU6": (lambda x: min(max(x, 0.0), 6.0), lambda x: 1.0 if 0 < x < 6 else 0.0),
    "HardSwish": (
        lambda x: x * min(max(x + 3, 0.0), 6.0) / 6,
        lambda x: 0.0 if x <= -3 else 1.0 if x >= 3 else (2 * x + 3) / 6,
    ),
    "Softplus": (lambda x: math.log(1 + math.exp(x)), sigmoid),
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
