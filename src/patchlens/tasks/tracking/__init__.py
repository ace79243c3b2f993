"""T4, tracking: association, linking of whole videos, label propagation."""
