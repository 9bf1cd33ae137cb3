"""The shipped model repository (`zoo/`) and the recipes that train it (`recipes/`)."""
