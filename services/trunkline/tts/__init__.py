"""Text-to-speech: takes segments of text of many calls and sends their audio, in order per call.

Imports no other service; an engine is whatever fits the seam in `engines.port`.
"""
