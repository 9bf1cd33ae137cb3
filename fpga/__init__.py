"""From a quantized network to hardware: integer model, dataflow generator, simulation, drivers."""
