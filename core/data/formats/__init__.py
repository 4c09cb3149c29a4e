"""What one file holds: DICOM, NIfTI, pictures and archives, read within bounds and told by their content."""
