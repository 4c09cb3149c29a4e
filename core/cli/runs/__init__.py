"""What ``runs`` can do with training runs."""
