"""`pixelpainter evaluate`: how well a model colors pictures whose colors are known."""
