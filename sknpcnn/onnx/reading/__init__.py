"""From ONNX models, which are not trusted, to layers, weights and estimators."""
