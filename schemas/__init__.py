"""Pure shapes: events, stored rows, the site registry, alerts. Imports nothing of ours and does no I/O."""
