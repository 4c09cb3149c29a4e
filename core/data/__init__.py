"""Scans: file formats, the index of a cohort, volumes, and their preparation."""
