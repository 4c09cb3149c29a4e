"""Are the maps true? Tests of maps against known tumours and against random weights."""
