"""What goes wrong in the lake, in words that say what to do."""


class LakeError(RuntimeError):
    """The lake cannot do what was asked; the message says what, where, and what to do."""


class CommitConflictError(LakeError):
    """Somebody else committed first; nothing of this commit is in the table. Reload and decide again."""
