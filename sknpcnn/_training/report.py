"""Prints the progress of a fit: a line per epoch, and a progress bar within it."""

import sys
from math import isnan
from time import perf_counter

BAR_WIDTH = 30
MIN_INTERVAL = 0.1
"""The shortest time between two updates of the progress bar, in seconds."""


class Report:
    """Reports progress on the standard output."""

    def __init__(self, first: int, last: int, n_samples: int, metric: str = "accuracy") -> None:
        self._first, self._last, self._n_samples = first, last, n_samples
        self._metric = metric
        self._start = self._last_update = perf_counter()
        self._epoch_start = self._start
        self._bar_length = 0
        """Length of the progress bar on the current line, 0 if there is none."""

    def resumed(self) -> None:
        """Report that the fit resumes after earlier epochs."""
        self._write(f"Resuming after epoch {self._first}/{self._last}", "\n")

    def epoch(self, number: int, row: dict[str, float]) -> None:
        """Report an epoch in one line."""
        parts = [f"Epoch {number:{len(str(self._last))}d}/{self._last}"]
        parts += [f"loss {row['train_loss']:.4f}", f"{self._metric} {row['train_score']:.4f}"]
        if not isnan(row["validation_loss"]):
            parts += [f"validation loss {row['validation_loss']:.4f}"]
            parts += [f"score {row['validation_score']:.4f}"]
        parts += [f"lr {row['learning_rate']:.2g}"]
        parts += [f"{self._n_samples / max(row['seconds'], 1e-9):,.0f} images/s"]
        self._epoch_start = perf_counter()
        if number < self._last:
            per_epoch = (self._epoch_start - self._start) / (number - self._first)
            parts += [f"{_clock(per_epoch * (self._last - number))} left"]
        self._write("  ".join(parts), "\n")
        self._bar_length = 0

    def progress(self, number: int, fraction: float) -> None:
        """Show the completed fraction of an epoch in a progress bar, replacing the previous one."""
        now = perf_counter()
        if now - self._last_update < MIN_INTERVAL and fraction < 1:
            return
        self._last_update = now
        speed = fraction * self._n_samples / max(now - self._epoch_start, 1e-9)
        done = round(fraction * BAR_WIDTH)
        bar = "#" * done + "." * (BAR_WIDTH - done)
        where = f"Epoch {number:{len(str(self._last))}d}/{self._last}"
        text = f"{where}  [{bar}] {fraction:4.0%}  {speed:,.0f} images/s"
        self._write(text)
        self._bar_length = len(text)

    def _write(self, text: str, end: str = "") -> None:
        """Overwrite the progress bar, if any; with spaces, as notebooks lack control sequences."""
        if sys.stdout is None:  # as in a program without a terminal
            return
        start = "\r" if self._bar_length else ""
        sys.stdout.write(start + text.ljust(self._bar_length) + end)
        sys.stdout.flush()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
