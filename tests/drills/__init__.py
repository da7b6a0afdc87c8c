"""Drills on real servers and workers, in a project that tries to reach what is live."""
