"""A gRPC door that is bounded before any message is read, and what stands behind it."""
