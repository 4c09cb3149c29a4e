"""The parts of the page of a DICOMweb server."""
