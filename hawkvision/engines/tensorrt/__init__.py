"""The engine `tensorrt`: NVIDIA's own library, built on the device and run through its own memory.

`engine` and `remote` are the side of HawkVision. All else also runs in a worker process under
another Python (3.8 and later), so it imports the standard library, numpy, tensorrt, cuda-bindings,
`hawkvision.errors` and `hawkvision.engines.caches`, and no more.
"""
