"""Backbones: one contract for every model, images in, patch tokens out."""
