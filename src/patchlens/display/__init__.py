"""Parts of figures and tables that tasks, tables and the site share; they name no task."""
