"""One file per command of `footstream`; each has `register(app)`; found by walking this folder."""
