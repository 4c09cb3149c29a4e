"""The synthetic cohort: brains from a program, in the competition's layout, with a signal of known strength."""
