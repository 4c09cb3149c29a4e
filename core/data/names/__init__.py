"""What the names of files, folders, persons, classes and sessions say."""
