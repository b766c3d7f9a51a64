"""What a process says about itself: logs, metrics and traces. Content (what people said) goes into none of them."""
