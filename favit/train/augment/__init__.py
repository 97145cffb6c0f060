"""Augmentation of whole batches on the training device; each transform follows torchvision's or timm's per-image one.

What is random is drawn on the CPU, a few numbers an image, from a generator that
the caller seeds for the step; pixels are only touched on the device. Sizes that
depend on the draw are thereby known without asking the device.
"""
