"""The loop, one fit, and what is kept and said of it."""
