"""The contracts that plugins fill, one file for each kind of plugin."""
