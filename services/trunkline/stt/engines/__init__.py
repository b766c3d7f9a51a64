"""The engines behind the one seam of this stage, `Recogniser`, and the voice detector that goes with each."""
