"""Class activation maps and other explanations of an answer."""
