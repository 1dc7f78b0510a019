"""Certificates of a consortium: its authorities, the files they lie in, the SDK configuration naming them."""
