"""Speech to text: what a caller says, and when it begins and ends.

Publishes facts; what they mean for the turn is the hub's to decide.
"""
