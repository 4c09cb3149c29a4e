"""Commands that read a table instead of scans."""
