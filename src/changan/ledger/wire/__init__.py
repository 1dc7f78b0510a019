"""The wire: messages of ChainMaker's protocol and our own, kept in a private descriptor pool."""
