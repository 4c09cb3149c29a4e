"""What a cohort's tables say of its people: labels, covariates, and who takes part."""
