"""From prepared arrays to what a network is given: examples, splits, folds, batches, augmentation."""
