"""A task that came later than the site: no file outside this folder names it but the table."""
