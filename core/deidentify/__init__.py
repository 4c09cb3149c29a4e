"""De-identification that writes: a copy of a cohort without what tells whose it is."""
