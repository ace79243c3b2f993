"""One module per DVC stage: opens inputs, calls the lower packages, writes complete outputs."""
