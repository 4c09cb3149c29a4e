"""The parts of the page of several cohorts."""
