"""Other servers with our decode, fit and network in them: what a request costs beside them."""
