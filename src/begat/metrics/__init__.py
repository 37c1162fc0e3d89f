"""Metrics: pure functions of frames, probabilities and predictions that return a Score."""

from begat.metrics.score import Score as Score
