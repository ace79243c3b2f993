"""patchlens: how good are the frozen patch features of Vision Transformers?"""
