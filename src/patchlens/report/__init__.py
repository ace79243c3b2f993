"""The report: tables made from metrics and records, nothing computed by hand."""
