"""From a volume to the slices and volumes that a network sees."""
