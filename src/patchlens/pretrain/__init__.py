"""Pre-training of the mini models: the same images and budget, different objectives.

Above backbones, features and tasks, which do not import it. Needs the extra `pretrain`.
"""
