"""The networks that are not torchvision classes: one module each."""
