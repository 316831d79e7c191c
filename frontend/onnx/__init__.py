"""ONNX models as compiled functions. Needs the package `onnx`."""

from stepwell.frontend.onnx.model import Model, load

__all__ = ["Model", "load"]
