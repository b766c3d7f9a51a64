"""The Responses API: what is asked of the model directly, answered by one of the agents' workers."""
