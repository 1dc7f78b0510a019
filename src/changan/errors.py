"""What can go wrong before a transaction is ordered: each refusal is one class, and its text says what to do next."""


class ChanganError(Exception):
    """Anything this package refuses on purpose."""


class MalformedError(ChanganError):
    """Bytes from outside do not decode into what they claim to be."""


class UnverifiedError(ChanganError):
    """A signature, certificate or proof does not hold."""
