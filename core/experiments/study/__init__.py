"""A whole study in one question, and its positive control."""
