"""What crosses the HTTP API: typed, with as_dict and parse side by side."""
