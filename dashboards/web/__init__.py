"""The read API and the live board: everything is passed in, nothing here knows settings or a client of the store."""
