"""HTML pages, tables and figures of results, the palette and how a figure is written."""
