"""Cross-validation by patient."""
