"""The system contracts. Each module is one contract: a table of its methods, and a function for each."""
