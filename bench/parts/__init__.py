"""The parts of the bench: one module for each question asked of both sides."""
