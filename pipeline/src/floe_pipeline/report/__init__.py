"""The report: one offline page that shows the data's patterns, the run's trace, its lineage and its proof."""
