"""The vendor's HTTP APIs over the same stages as calls, one file each; every one is a short session of one stage."""
