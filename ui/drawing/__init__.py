"""Pictures as SVG, drawn of values alone."""
