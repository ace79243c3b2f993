"""What `import patchlens` offers: the functions of the stages, on data in memory."""
