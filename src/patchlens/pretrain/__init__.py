"""Pre-training the mini models: same images, same budget, another objective.

Above backbones, features and tasks; nothing below imports it. Needs the extra `pretrain`.
"""
