"""The HTTP server of `pixelpainter serve`; it needs the extra `serve`."""
