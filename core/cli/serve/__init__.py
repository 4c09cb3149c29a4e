"""serve: answer other programs."""
