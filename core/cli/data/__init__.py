"""What is done with data before any model: phantom, index, audit, prepare."""
