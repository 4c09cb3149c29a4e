"""Which MR sequence a series is: the tables, and what names, headers and fellow series say by them."""
