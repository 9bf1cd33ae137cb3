"""Who may ask a service what: scopes, API keys and their file, rates, and what is kept of it."""
