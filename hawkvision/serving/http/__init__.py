"""The HTTP door of both services: connections, bodies and routes within their limits."""
