"""The agent's gRPC port: the Open Inference Protocol, answered like all images."""
