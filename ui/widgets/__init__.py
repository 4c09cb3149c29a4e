"""What several pages share: state, loaders, viewer, progress, errors."""
