"""Time one training step and predict_proba of the default network, with one and two threads."""

from time import perf_counter

import numpy as np

from sknpcnn import NumpyCNNClassifier

SIDES = {"digits, 8 x 8": 8, "MNIST, 28 x 28": 28}
THREADS = (1, 2)
BATCH, STEPS, EPOCHS = 128, 8, 6
PREDICTED, REPEATS = 4096, 5


def images(n, side, seed=0):
    """Random gray images of bytes, and labels of ten classes."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 256, (n, side, side), dtype=np.uint8)
    return X, np.arange(n) % 10


def training_step(clf, X, y):
    """Seconds per training step, in the fastest of some epochs; the first ones warm up."""
    clf.fit(X, y)
    steps = -(-len(X) // clf.batch_size)
    return clf.history_["seconds"].min() / steps


def prediction(clf, X):
    """Seconds to predict all of X, the fastest of some times."""
    seconds = []
    for _ in range(REPEATS):
        start = perf_counter()
        clf.predict_proba(X)
        seconds.append(perf_counter() - start)
    return min(seconds)


def main():
    columns = "{:<16}{:>9}{:>22}{:>14}{:>26}{:>14}"
    print(
        columns.format(
            "images",
            "threads",
            f"step of {BATCH} [ms]",
            "images/s",
            f"predict {PREDICTED} [ms]",
            "images/s",
        )
    )
    for name, side in SIDES.items():
        X, y = images(BATCH * STEPS, side)
        X_new, _ = images(PREDICTED, side, seed=1)
        for n_jobs in THREADS:
            clf = NumpyCNNClassifier(
                batch_size=BATCH,
                max_iter=EPOCHS,
                n_iter_no_change=np.inf,
                n_jobs=n_jobs,
                random_state=0,
            )
            step, predict = training_step(clf, X, y), prediction(clf, X_new)
            print(
                columns.format(
                    name,
                    n_jobs,
                    f"{1000 * step:.2f}",
                    f"{BATCH / step:,.0f}",
                    f"{1000 * predict:.1f}",
                    f"{PREDICTED / predict:,.0f}",
                )
            )


if __name__ == "__main__":
    main()
