"""
By how much has it been turned?
===============================

Angles of 359 and 1 degrees are close, though the numbers are not. So the network learns the cosine
and the sine, two outputs, and the angle is that of the arrow which they make. Where an image could
be turned one way or another, the squared error makes the arrow short: its length says how sure the
network is.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import rotate, zoom
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sknpcnn import NumpyCNNRegressor

# %%
# Digits on 20 x 20 pixels, turned by any angle.

rng = np.random.default_rng(0)
X, digit = load_digits(return_X_y=True)
X = np.pad(zoom(X.reshape(-1, 8, 8), (1, 1.75, 1.75), order=1), ((0, 0), (3, 3), (3, 3)))
angle = rng.uniform(0, 360, len(X))
turned = [rotate(image, a, reshape=False, order=1) for image, a in zip(X, angle, strict=True)]
X = np.array(turned, dtype="float32")
y = np.stack([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))], axis=1)
X, X_test, y, y_test, angle, angle_test, digit, digit_test = train_test_split(
    X, y, angle, digit, stratify=digit, random_state=0
)
reg = NumpyCNNRegressor(random_state=0, max_iter=30).fit(X, y)

# %%
# How far off is each, and how long is its arrow? Long ones are nearly always right. Some of the
# short ones point the other way, more often for digits that look much the same upside down.

arrows = reg.predict(X_test)
off = np.rad2deg(np.arctan2(arrows[:, 1], arrows[:, 0])) - angle_test
off = abs((off + 180) % 360 - 180)
length = np.hypot(*arrows.T)
for name, chosen in (("above", length > 0.8), ("up to", length <= 0.8)):
    print(
        f"Length {name} 0.8: {chosen.sum()} digits, median {np.median(off[chosen]):.0f} degrees off"
    )

left, right = plt.figure(figsize=(10, 4.4), layout="constrained").subfigures(
    1, 2, width_ratios=(1.5, 1)
)
left.suptitle("Where is up? Predicted (blue), true (orange)", weight="bold")
for ax, image, true, arrow in zip(left.subplots(4, 7).flat, X_test, y_test, arrows, strict=False):
    ax.imshow(image, cmap="gray_r", alpha=0.5)
    for (up, aside), color, width in ((true, "#d55e00", 1.5), (arrow, "#0072b2", 3)):
        style = {"head_width": 2, "length_includes_head": True, "lw": width, "color": color}
        ax.arrow(9.5, 9.5, -9 * aside, -9 * up, **style)
    ax.set_axis_off()
ax = right.subplots()
alike = np.isin(digit_test, [0, 1, 5, 8])
for chosen, marker, color, name in (
    (~alike, "o", "#0072b2", "other digits"),
    (alike, "x", "#d55e00", "0, 1, 5 and 8"),
):
    ax.plot(length[chosen], off[chosen], marker, color=color, ms=4, alpha=0.7, label=name)
ax.set(xlabel="length of the arrow", ylabel="degrees off", yticks=range(0, 181, 45))
ax.legend(frameon=False)

if "--save" in sys.argv:
    plt.savefig(sys.argv[-1], dpi=120)
else:
    plt.show()
