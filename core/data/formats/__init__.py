"""What one file holds: DICOM, NIfTI, images and archives, read within bounds and told by their content."""
