"""Results as DICOM: a structured report, secondary captures and a segmentation. They need highdicom (requirements-dicom.txt)."""
