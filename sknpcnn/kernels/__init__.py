"""Pure functions on arrays: no classes, no state. ``tests/reference.py`` says what they compute."""
