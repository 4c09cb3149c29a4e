"""From a folder of files to series and studies, by headers alone, and what is kept of it for the next time."""
