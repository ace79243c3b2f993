"""A procedural street world: stills and videos with exact semantic and instance masks.

The same bytes come out on every machine: the renderer uses integers, integer hashes and the
IEEE-exact operations ``+ - * / sqrt`` only. Scenes are numbered by seeds; seeds from
``spec.FREE_SEEDS`` on are free for pre-training and never used by the evaluation splits.
"""
