"""Trains binarized networks, and writes them as QONNX."""

from compiler.train.recipe import TASKS, Recipe, Task
from compiler.train.training import Training, train


__all__ = ["TASKS", "Recipe", "Task", "Training", "train"]
