"""Segmentations as pictures: a segmentation and an image in, (H, W, 3) uint8 out. Neither torch nor matplotlib."""
