"""Pure state machines: no I/O, no clock, no engine. Time is an argument."""
