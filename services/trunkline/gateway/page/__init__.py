"""The page at `/`: what the gateway serves to browsers, and its serving."""
