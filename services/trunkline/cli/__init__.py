"""`trunkline`: the face of the project for people: starts a stack on one machine, calls it, reads its records."""
