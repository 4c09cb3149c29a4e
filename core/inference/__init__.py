"""Prediction: select series, run inference, collect warnings."""
