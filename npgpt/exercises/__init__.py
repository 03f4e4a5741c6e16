"""Exercises: backward passes for the reader to write, and mistakes to find in a GPT."""
