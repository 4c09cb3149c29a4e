"""The public cohorts as they are distributed, one adapter a file, and how a folder is told to be one of them."""
