"""Settings, command line, runtime, supervision: everything that knows clocks, processes and files."""
