"""The command line: it parses, asks the library and shows the answer; no mathematics."""
