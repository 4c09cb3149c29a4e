"""Published checklists as tables, and what of them a run answers."""
