"""The ruler: our speed and memory next to those of PyTorch, onnxruntime and MLPClassifier."""
