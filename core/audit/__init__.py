"""The audit of a cohort: what is wrong with it, each finding with its place and its remedy."""
