"""What each command takes; what it does stands in the module that it names."""
