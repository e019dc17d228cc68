"""All I/O, one outside system per file."""
