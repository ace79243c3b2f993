"""Own images in one command: a workspace, what goes into it, and the answer that comes out."""
