"""The twin run: one configuration with and without slices of the evaluated patients in training."""
