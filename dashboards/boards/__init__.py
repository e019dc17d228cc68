"""One file per board, each with a constant `BOARD`; found by walking this folder."""
