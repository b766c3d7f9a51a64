"""Pictures for models: how large each level of detail is, and the scaling to it. Stores and endpoints are elsewhere."""
