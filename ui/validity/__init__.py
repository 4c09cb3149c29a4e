"""The Validity page's sections: each asks one question of a figure and draws the answer."""
