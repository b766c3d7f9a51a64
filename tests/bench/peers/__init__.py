"""`make bench-peers`: Trunkline beside pipecat and livekit-agents, doing the same work on the same cores."""
