"""One module a DVC stage: opens inputs, calls the rooms below, writes outputs whole."""
