"""Callers over WebRTC: their events over a data channel, their audio beside it as Opus over RTP."""
