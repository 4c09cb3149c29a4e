"""The parts of the page of cross-validations."""
