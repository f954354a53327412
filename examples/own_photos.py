"""
Photos in a folder
==================

Load them, train, test, save, and ask about new ones by their file names. Run
``python examples/own_photos.py FOLDER``, where FOLDER holds one sub-folder of photos per class.
Without it, some are drawn.
"""

import sys
import tempfile
from pathlib import Path

import joblib
import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from sknpcnn import NumpyCNNClassifier
from sknpcnn.datasets import load_image_folder


def draw_photos(folder):
    """Draw balls and boxes of many sizes, as a camera that is held upright or not stores them."""
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(0)
    for i in range(400):
        kind = "ball" if i % 2 else "box"
        width, height, side = rng.integers([80, 80, 30], [120, 120, 50]).tolist()
        x, y = (width - side) // 2, (height - side) // 2
        photo = Image.new("RGB", (width, height), tuple(rng.integers(0, 110, size=3)))
        paint = ImageDraw.Draw(photo)
        shape = paint.ellipse if kind == "ball" else paint.rectangle
        shape((x, y, x + side, y + side), fill=tuple(rng.integers(140, 256, size=3)))
        exif = Image.Exif()
        exif[0x0112] = int(rng.choice([1, 3, 6, 8]))  # to be turned before it is looked at
        (folder / kind).mkdir(parents=True, exist_ok=True)
        photo.save(folder / kind / f"{i}.jpg", exif=exif)


with tempfile.TemporaryDirectory() as temporary:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else f"{temporary}/photos")
    if len(sys.argv) == 1:
        draw_photos(folder)

    # Every photo becomes 32 x 32 pixels, the middle of it if it is not square.
    photos = load_image_folder(folder, size=32, fit="crop", labels="names")
    X_train, X_test, y_train, y_test, _, new = train_test_split(
        photos.data, photos.target, photos.filenames, stratify=photos.target, random_state=0
    )
    clf = NumpyCNNClassifier(max_iter=10, random_state=0, verbose=1)
    clf.fit(X_train, y_train)
    print(f"Test accuracy: {clf.score(X_test, y_test):.3f} on {len(X_test)} other photos.")

    # photos.loader makes of new files what the network has learned from; both are saved as one.
    joblib.dump(make_pipeline(photos.loader, clf), f"{temporary}/model.joblib")
    model = joblib.load(f"{temporary}/model.joblib")
    for name, label in zip(new[:5], model.predict(new[:5]), strict=True):
        print(f"{Path(name).parent.name}/{Path(name).name} is a {label}.")
