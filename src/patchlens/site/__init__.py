"""The report site: what was measured, as pages that open from disk."""
