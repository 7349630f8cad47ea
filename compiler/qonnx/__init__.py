"""Writes networks as QONNX, which `compiler.frontends` and other tools read."""
