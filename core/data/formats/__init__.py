"""File formats: DICOM, NIfTI, images and archives, detected by content and read within bounds."""
