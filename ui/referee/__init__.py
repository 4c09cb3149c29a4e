"""Parts of the Referee page."""
