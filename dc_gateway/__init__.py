"""The data-center gateway: larger models behind the Open Inference Protocol over gRPC."""
