"""Other people's patients: a checkpoint on further cohorts, and cohorts that are left out of training in turn."""
