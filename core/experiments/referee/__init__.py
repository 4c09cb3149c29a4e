"""The referee: what a table of predictions, from any framework, shows, contradicts and cannot show."""
