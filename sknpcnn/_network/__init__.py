"""Layers bound to shapes and to one vector of parameters, and the rows that they are given."""
