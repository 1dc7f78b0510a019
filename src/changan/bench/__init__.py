"""Measurements: programs that start what they measure, print a table and write JSON."""
