"""Parts of the Cohort page."""
