"""The report: tables, figures and one page, from the run folder alone."""
