"""What is private to an estimator, for tests of other rooms that cannot do without it."""


def vector_of(clf):
    """The flat vector of all parameters, itself."""
    return clf._theta


def progress_of(clf):
    """What a fit with ``warm_start`` leaves to be resumed from, or None."""
    return clf._progress
