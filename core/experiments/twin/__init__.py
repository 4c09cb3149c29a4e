"""The twin run: one configuration with and without slices of the judged patients in training."""
