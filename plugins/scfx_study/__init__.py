"""Studies: what each option costs, as a table, plots and a report."""
