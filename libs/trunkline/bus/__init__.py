"""The bus: publish, subscribe, and ordered acknowledged links between two workers of a call."""
