"""What answers other programs: an HTTP interface for scripts, and a client of DICOMweb servers."""
