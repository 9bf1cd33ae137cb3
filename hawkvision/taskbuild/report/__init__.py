"""Reports as self-contained HTML (extra `report`)."""
