"""changan (长安): a trusted-data platform for organisations that do not trust one another enough to share a database."""

__version__ = "0.1.0"
