"""What can go wrong on the way to a stack."""


class StackError(RuntimeError):
    """The stack cannot be reached or asked; the message says why and what to do."""
