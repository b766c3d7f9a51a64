"""Models behind one seam; which one answers is a setting, and others come as plugins."""
