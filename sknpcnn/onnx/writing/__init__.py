"""From fitted estimators to ONNX models."""
