"""Digests, keys, Merkle trees and addresses: what a chain is checked with, without a secret but the signing key's."""
