"""From a scan as it came to one that is bias-corrected, co-registered and without a skull: NIfTI that is read as any other."""
