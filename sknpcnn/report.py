"""What a fit says while it runs: a line for each epoch, and a bar within it."""

import sys
from math import isnan
from time import perf_counter

BAR = 30
# A terminal need not be told more often than this, in seconds.
PAUSE = 0.1


class Report:
    """Writes to the terminal, or to wherever the standard output goes."""

    def __init__(self, first: int, last: int, n_samples: int, metric: str = "accuracy") -> None:
        self._first, self._last, self._n_samples = first, last, n_samples
        self._metric = metric
        self._start = self._told = perf_counter()
        self._begun = self._start
        self._bar = 0
        """How many characters the bar has that stands on the line."""

    def going_on(self) -> None:
        """Say that a part of the fit has been done before."""
        self._write(f"Going on after epoch {self._first}/{self._last}, where it stopped", "\n")

    def epoch(self, number: int, row: dict[str, float]) -> None:
        """Report an epoch in one line."""
        parts = [f"Epoch {number:{len(str(self._last))}d}/{self._last}"]
        parts += [f"loss {row['train_loss']:.4f}", f"{self._metric} {row['train_score']:.4f}"]
        if not isnan(row["validation_loss"]):
            parts += [f"validation loss {row['validation_loss']:.4f}"]
            parts += [f"score {row['validation_score']:.4f}"]
        parts += [f"lr {row['learning_rate']:.2g}"]
        parts += [f"{self._n_samples / max(row['seconds'], 1e-9):,.0f} images/s"]
        self._begun = perf_counter()
        if number < self._last:
            per_epoch = (self._begun - self._start) / (number - self._first)
            parts += [f"{_clock(per_epoch * (self._last - number))} left"]
        self._write("  ".join(parts), "\n")
        self._bar = 0

    def progress(self, number: int, part: float) -> None:
        """Show how much of an epoch has passed, in a bar that is written over."""
        now = perf_counter()
        if now - self._told < PAUSE and part < 1:
            return
        self._told = now
        speed = part * self._n_samples / max(now - self._begun, 1e-9)
        done = round(part * BAR)
        bar = "#" * done + "." * (BAR - done)
        where = f"Epoch {number:{len(str(self._last))}d}/{self._last}"
        text = f"{where}  [{bar}] {part:4.0%}  {speed:,.0f} images/s"
        self._write(text)
        self._bar = len(text)

    def _write(self, text: str, end: str = "") -> None:
        """Write over the bar, if there is one: with spaces, as notebooks know no other way."""
        if sys.stdout is None:  # as in a program without a terminal
            return
        over = "\r" if self._bar else ""
        sys.stdout.write(over + text.ljust(self._bar) + end)
        sys.stdout.flush()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
