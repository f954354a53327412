"""
Digits read in the browser
==========================

Makes a folder with a page on which one draws a digit, and a network that reads it in the browser:
trained here, written as an ONNX model, run by onnxruntime-web. Run it, then open the page::

    python examples/browser/build.py site --mnist FOLDER  # FOLDER holds the four files of MNIST
    python -m http.server --directory site

Without MNIST the network learns from scikit-learn's small digits. ``npm`` has to be installed: it
brings onnxruntime-web, whose files are copied next to the page.
"""

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from scipy.ndimage import center_of_mass, shift, zoom
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sknpcnn import NumpyCNNClassifier
from sknpcnn.augmentation import Affine
from sknpcnn.datasets import load_mnist
from sknpcnn.onnx import to_onnx

RUNTIME = "onnxruntime-web@1.30.0"
FILES = ["ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"]


def enlarged_digits():
    """scikit-learn's digits as those of MNIST: 20 pixels high, their mass in the middle of 28."""
    X, y = load_digits(return_X_y=True)
    images = np.zeros((len(X), 28, 28), np.float32)
    images[:, 4:24, 4:24] = zoom(X.reshape(-1, 8, 8) * 255 / 16, (1, 2.5, 2.5), order=1)
    for image in images:
        image[:] = shift(image, 13.5 - np.array(center_of_mass(image)), order=1)
    return images, y


parser = argparse.ArgumentParser(description="Make the page, in a folder of its own.")
parser.add_argument("folder", type=Path, help="the folder to make")
parser.add_argument("--mnist", type=Path, help="the folder with the four files of MNIST")
parser.add_argument("--images", type=int, help="train on the first IMAGES only")
parser.add_argument("--epochs", type=int, default=10)
args = parser.parse_args()

if args.mnist:
    X, y = load_mnist(args.mnist, split="train", return_X_y=True)
    X_test, y_test = load_mnist(args.mnist, split="test", return_X_y=True)
else:
    X, X_test, y, y_test = train_test_split(*enlarged_digits(), test_size=300, random_state=0)

# %%
# People draw in many ways, so the network is shown every digit turned and moved a little.

clf = NumpyCNNClassifier(max_iter=args.epochs, random_state=0, verbose=1)
clf.set_params(augment=[Affine(degrees=10, zoom=0.15, shear=0.2, shift=2)])
clf.fit(X[: args.images], y[: args.images])
print(f"Test accuracy: {clf.score(X_test, y_test):.4f}")

args.folder.mkdir(parents=True, exist_ok=True)
to_onnx(clf, args.folder / "digits.onnx")
shutil.copy(Path(__file__).with_name("index.html"), args.folder)
shutil.copy(Path(__file__).with_name("page.mjs"), args.folder)

# %%
# What runs the model in the browser is three files of a package of npm.

with tempfile.TemporaryDirectory() as folder:
    npm = shutil.which("npm") or "npm"
    subprocess.run([npm, "install", "--silent", "--prefix", folder, RUNTIME], check=True)
    for name in FILES:
        shutil.copy(Path(folder, "node_modules", "onnxruntime-web", "dist", name), args.folder)
print(f"Now run: python -m http.server --directory {args.folder}")
