"""Trained networks -> ONNX -> model_repository/, each step checked before anything is published."""
