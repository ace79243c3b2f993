"""Downloads: parallel, resumed, retried and checked; a file is complete or absent."""
